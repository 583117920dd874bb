internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI
import WeightInit

/// An error as the client sees it: the content of a problem document, RFC 9457.
struct Problem: Error, Sendable {
    /// A fault and its place.
    struct Fault: Sendable {
        enum Place: Sendable, Equatable {
            /// A parameter of the query.
            case parameter(Text)
            /// A JSON Pointer (RFC 6901) into the request's JSON.
            case pointer(Text)
            case header(Text)
        }

        /// `nil` for the request's path.
        var place: Place?
        var detail: String
        var allowed: [Text] = []
        /// Largest value accepted at the place.
        var maximum: Int?
    }

    var kind: Kind
    var detail: String
    var faults: [Fault]
    var fields: HeaderFields

    init(_ kind: Kind, _ detail: String, faults: [Fault] = [], fields: HeaderFields = HeaderFields()) {
        self.kind = kind
        self.detail = detail
        self.faults = faults
        self.fields = fields
    }

    /// Form in which a client wrote the members.
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
            case .outOfMemory, .cancelled: .unavailable
            case .failed: .internalError
            case .notOffered: .notAcceptable
            }
        // Without a member at fault, the fault is in `Accept`.
        let place =
            kind == .notAcceptable && error.path.isEmpty ? .header("Accept") : Fault.Place(error.path, form: form)
        let fault = place.map {
            Fault(place: $0, detail: error.message, allowed: error.allowed, maximum: error.maximum)
        }
        let subject = kind == .notAcceptable ? "" : Problem.subject(of: error.path)
        let fields: HeaderFields = kind == .unavailable ? [.retryAfter: "1"] : HeaderFields()
        self.init(kind, subject + error.message, faults: fault.map { [$0] } ?? [], fields: fields)
    }

    /// A place in a request at the start of a sentence, cut to 80 characters: the names are the client's and can be
    /// long.
    private static func subject(of path: [Text]) -> String {
        guard path.contains(where: { !$0.isEmpty }) else { return "" }
        var subject = ""
        for scalar in path.joined(separator: ".").unicodeScalars.prefix(80) { subject.unicodeScalars.append(scalar) }
        return subject + ": "
    }

    /// The document's members in order.
    ///
    /// - Parameter prefix: Path below which a proxy serves the service, and so its page of problems.
    func document(below prefix: PathPrefix?) -> JSONValue {
        var members: [JSONValue.Member] = []
        members.append("type", .string((prefix?.text ?? "") + "/docs/problems#" + Text(kind.slug)))
        members.append("title", .string(Text(kind.title)))
        members.append("status", .integer(kind.status.code))
        members.append("detail", .string(Text(detail)))
        members.append("errors", faults.isEmpty ? nil : .array(faults.map(\.document)))
        return .object(members)
    }
}

extension Problem.Fault.Place {
    /// A place in a request; `nil` for the query as a whole.
    init?(_ path: [Text], form: Problem.Form) {
        switch form {
        case .query:
            guard let name = path.first else { return nil }
            self = .parameter(name)
        case .json:
            self = .pointer(JSONPointer.text(of: path))
        }
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
        members.append("detail", .string(Text(detail)))
        members.append("allowed", allowed.isEmpty ? nil : .strings(allowed))
        members.append("maximum", maximum.map(JSONValue.integer))
        return .object(members)
    }
}
