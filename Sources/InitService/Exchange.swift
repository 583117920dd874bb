import HTTPExchange
import HTTPTypes
import WeightInit

/// A request on its way through the service.
struct Exchange: Sendable {
    let method: HTTPRequest.Method
    let fields: HTTPFields
    /// The route's path.
    let path: String
    let members: RequestMembers
    /// How the client wrote the members.
    let form: Problem.Form
    /// Bytes.
    var longestLocation = 0

    /// Whether the request selects a representation, so that conditions and ranges mean something.
    var isRead: Bool { method == .get || method == .head }

    var accept: Accept { Accept(fields[.accept]) }

    /// The canonical URL, which a reply to `POST` alone tells, and which is not for nothing; `nil` where it is too long.
    func location(_ url: (_ path: String) -> String) -> String? {
        guard method == .post else { return nil }
        let location = url(path)
        return location.utf8.count <= longestLocation ? location : nil
    }

    /// - Throws: 406 where the client takes no JSON.
    func requireJSONAcceptable() throws(Problem) {
        guard accept.quality(of: "application/json") > 0 else {
            throw .notAcceptable("only application/json is offered here", offered: ["application/json"])
        }
    }
}

extension Problem {
    static func notAcceptable(_ detail: String, offered: [String]) -> Problem {
        Problem(
            .notAcceptable,
            detail,
            faults: [Fault(place: .header("Accept"), detail: detail, allowed: offered)]
        )
    }
}

/// Finds a request's members, wherever the method has them.
struct MemberReader {
    let limits: ServiceLimits

    /// Where members are written, and as what.
    enum Place {
        case query([RequestTarget.Parameter])
        /// JSON in the query's `request`.
        case queriedJSON(String)
        case body([UInt8])
    }

    /// - Throws: 415 for another media type than JSON, 413 for a body over the limit, 400 for members in two places.
    func place(of request: IncomingRequest, _ target: RequestTarget) throws(Problem) -> Place {
        guard request.head.method == .post else {
            guard request.body.isEmpty else {
                throw Problem(
                    .invalid,
                    "a \(request.head.method) request has its members in the query; use POST for a body"
                )
            }
            guard let json = target.query.first(where: { $0.name == "request" }) else { return .query(target.query) }
            guard target.query.count == 1 else {
                let fault = Problem.Fault(place: .parameter("request"), detail: "stands alone in the query")
                throw Problem(.invalid, "request: stands alone in the query", faults: [fault])
            }
            return .queriedJSON(json.value)
        }
        try checkMediaType(request.head.headerFields)
        guard target.query.isEmpty else {
            throw Problem(.invalid, "a POST request has its members in the body, not in the query")
        }
        guard request.body.count <= limits.maximumBodyBytes else {
            throw .bodyTooLarge(limit: limits.maximumBodyBytes)
        }
        return .body(request.body)
    }

    /// - Throws: `invalid` where it is not JSON or not an object.
    ///
    /// - Parameter json: What the JSON may not exceed, where that is not what the service allows.
    func members(at place: Place, _ json: JSONLimits? = nil) throws(InitError) -> RequestMembers {
        let json = json ?? JSONLimits(depth: limits.maximumJSONDepth, values: limits.maximumJSONValues)
        return switch place {
        case .query(let parameters): RequestMembers(parameters)
        case .queriedJSON(let text): try object(Array(text.utf8), json)
        case .body(let bytes): try object(bytes, json)
        }
    }

    private func object(_ bytes: [UInt8], _ limits: JSONLimits) throws(InitError) -> RequestMembers {
        let value = try JSONParser.parse(bytes, limits: limits)
        guard case .object(let members) = value else {
            throw InitError(
                .invalid,
                [],
                "the request must be a JSON object, found \(RequestValue.json(value).description)"
            )
        }
        return RequestMembers(members)
    }

    /// `application/json`, in UTF-8 where a charset is named at all.
    private func checkMediaType(_ fields: HTTPFields) throws(Problem) {
        if let coding = fields[.contentEncoding], coding.trimmed.lowercased() != "identity" {
            let detail = "the body must not be encoded, found " + coding.quotedForMessage
            throw Problem(
                .unsupportedMediaType,
                detail,
                faults: [Problem.Fault(place: .header("Content-Encoding"), detail: detail)],
                fields: [.acceptEncoding: "identity"]
            )
        }
        let field = fields[.contentType]
        let parts = FieldList.elements(of: field ?? "", separator: ";").map { $0.lowercased() }
        let charsets = parts.dropFirst().filter { $0.hasPrefix("charset=") }
        guard parts.first == "application/json",
            charsets.allSatisfy({ $0 == "charset=utf-8" || $0 == #"charset="utf-8""# })
        else {
            let found = field.map { ", found " + $0.quotedForMessage } ?? ""
            let detail = "the body must be application/json in UTF-8" + found
            throw Problem(
                .unsupportedMediaType,
                detail,
                faults: [Problem.Fault(place: .header("Content-Type"), detail: detail, allowed: ["application/json"])],
                fields: [.accept: "application/json"]
            )
        }
    }
}

extension MemberReader.Place {
    var form: Problem.Form {
        if case .query = self { .query } else { .json }
    }
}

extension Problem {
    static func bodyTooLarge(limit: Int) -> Problem {
        Problem(.overLimit, "the body is over the limit of \(limit) bytes (--max-body-bytes)")
    }
}
