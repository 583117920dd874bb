import HTTPTypes
import WeightInit

/// An error as the client sees it: what becomes a problem document, RFC 9457.
struct Problem: Error, Sendable {
    /// What was wrong, and where.
    struct Fault: Sendable {
        enum Place: Sendable, Equatable {
            /// A parameter of the query.
            case parameter(String)
            /// A JSON Pointer (RFC 6901) into the request's JSON.
            case pointer(String)
            case header(String)
        }

        /// `nil` for the request's path.
        var place: Place?
        var detail: String
        var allowed: [String] = []
    }

    var kind: Kind
    var detail: String
    var faults: [Fault]
    var fields: HTTPFields

    init(_ kind: Kind, _ detail: String, faults: [Fault] = [], fields: HTTPFields = HTTPFields()) {
        self.kind = kind
        self.detail = detail
        self.faults = faults
        self.fields = fields
    }

    /// How a client wrote what an error is about.
    enum Form: Sendable {
        case query
        case json
    }

    init(_ error: InitError, form: Form) {
        let kind: Kind =
            switch error.kind {
            case .invalid: .invalid
            case .refused: .refused
            case .tooLarge: .overLimit
            case .failed: .internalError
            }
        let place = Fault.Place(error.path, form: form)
        let faults = place.map { [Fault(place: $0, detail: error.detail, allowed: error.allowed)] } ?? []
        // The names are the client's and can be long.
        let subject = error.path.joined(separator: ".").prefix(80)
        self.init(kind, (subject.isEmpty ? "" : subject + ": ") + error.detail, faults: faults)
    }

    /// The document's members in order.
    var document: JSONValue {
        var members: [JSONValue.Member] = []
        members.append("type", .string("/docs/problems#" + kind.slug))
        members.append("title", .string(kind.title))
        members.append("status", .integer(kind.status.code))
        members.append("detail", .string(detail))
        members.append("errors", faults.isEmpty ? nil : .array(faults.map(\.document)))
        return .object(members)
    }
}

extension Problem.Fault.Place {
    /// A place in a request, `nil` where the query as a whole is meant.
    init?(_ path: [String], form: Problem.Form) {
        switch form {
        case .query:
            guard let name = path.first else { return nil }
            self = .parameter(name)
        case .json:
            self = .pointer(Self.pointer(to: path))
        }
    }

    static func pointer(to path: [String]) -> String {
        path.map(pointerComponent).joined()
    }

    /// `~` and `/` have a meaning in a pointer.
    private static func pointerComponent(_ name: String) -> String {
        var component = "/"
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": component += "~0"
            case "/": component += "~1"
            default: component.unicodeScalars.append(scalar)
            }
        }
        return component
    }
}

extension Problem.Fault {
    fileprivate var document: JSONValue {
        var members: [JSONValue.Member] = []
        switch place {
        case .parameter(let name): members.append("parameter", .string(name))
        case .pointer(let pointer): members.append("pointer", .string(pointer))
        case .header(let name): members.append("header", .string(name))
        case nil: break
        }
        members.append("detail", .string(detail))
        members.append("allowed", allowed.isEmpty ? nil : .strings(allowed))
        return .object(members)
    }
}
