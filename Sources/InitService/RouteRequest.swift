internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI
import WeightInit

/// A request that a route answers.
struct RouteRequest: Sendable {
    let method: HTTPRequest.Method
    let fields: HeaderFields
    /// The route's path.
    let path: Text
    /// The path below which a proxy serves the service.
    let prefix: PathPrefix?
    /// Segments of the target in the places of those in braces.
    let captures: [Text]
    let members: RequestMembers
    /// Form in which the client wrote the members.
    let form: Problem.Form
    let allowance: Allowance
    /// Bytes of the target and the body.
    let byteCount: Int
    /// Maximum bytes of the URL in `Content-Location`.
    let longestLocation: Int
    /// Digests of representations, if the client wants one.
    let digests: RepresentationDigests?

    /// The part that a response needs once its head is known.
    struct Rest: Sendable {
        let form: Problem.Form
        let byteCount: Int
        let digests: RepresentationDigests?
    }

    var rest: Rest { Rest(form: form, byteCount: byteCount, digests: digests) }

    /// `true` if the request selects a representation, so that conditions and ranges apply.
    var isRead: Bool { method == .get || method == .head }

    var accept: Accept { Accept(fields.text(.accept)) }

    /// - Throws: 400 if the request has a member.
    func requireNoMembers() throws(Problem) {
        try form.refusing { () throws(InitError) in try members.requireNone() }
    }

    /// The context of the question that the request asks.
    func asking(_ operations: OperationContext) -> Asking {
        Asking(operations, accept, within: allowance)
    }

    /// The response with a question's answer.
    ///
    /// - Parameters:
    ///   - need: Counts of a model of the catalogue; `nil` if they are known only after planning.
    ///   - answer: `nil` if the allowance is too small for planning.
    func respond(
        with operations: OperationContext,
        for need: PlanningNeed? = nil,
        _ answer: (Asking) throws(InitError) -> Answer?
    ) throws(Problem) -> RouteOutcome {
        guard let answer = try form.refusing({ () throws(InitError) in try answer(asking(operations)) }) else {
            return .exceeds(need.map(allowance.planning) ?? allowance.planningMore)
        }
        return try Representation(consume answer).respond(to: self)
    }
}

/// Finds a request's members, in the query or in the body.
struct MemberReader {
    let limits: ServiceLimits

    /// Place and form of members.
    enum Place {
        case query([(name: Text, text: Text)])
        /// JSON in the query's `request`.
        case queriedJSON(Text)
        case body([UInt8])
    }

    /// - Throws: 415 for a media type other than JSON, 413 for a body over the limit, 400 for members in two places.
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
                let detail = "must be the only parameter of the query; other members stand in its JSON"
                let fault = Problem.Fault(place: .parameter("request"), detail: detail)
                throw Problem(.invalid, "request: " + detail, faults: [fault])
            }
            return .queriedJSON(json.text)
        }
        try checkMediaType(request.head.fields)
        if let name = target.query.first?.name {
            throw Problem(.invalid(name, "a POST request has its members in the body, not in the query"), form: .query)
        }
        guard request.body.count <= limits.maximumBodyBytes else {
            throw .bodyTooLarge(limit: limits.maximumBodyBytes)
        }
        return .body(request.body)
    }

    /// - Throws: `invalid` if the text is not JSON or not an object.
    func members(at place: Place) throws(InitError) -> RequestMembers {
        let json = JSONLimits(
            depth: limits.maximumJSONDepth,
            values: limits.maximumJSONValues,
            nameBytes: limits.tensors.maximumNameLength
        )
        return switch place {
        case .query(let parameters): RequestMembers(texts: parameters)
        case .queriedJSON(let text): try RequestMembers(parsing: Array(text.utf8), json)
        case .body(let bytes): try RequestMembers(parsing: bytes, json)
        }
    }

    /// Checks for `application/json` without a content coding and, if a charset is named, in UTF-8.
    private func checkMediaType(_ fields: HeaderFields) throws(Problem) {
        if let coding = fields.text(.contentEncoding), !coding.trimmed.equalsIgnoringASCIICase("identity") {
            let detail = "the body must not be encoded" + Problem.found(coding)
            throw Problem(
                .unsupportedMediaType,
                detail,
                faults: [Problem.Fault(place: .header("Content-Encoding"), detail: detail)],
                fields: [.acceptEncoding: "identity"]
            )
        }
        let field = fields.text(.contentType)
        let parts = FieldList.elements(of: field ?? "", separator: ";").map { $0.asciiLowercased() }
        let charsets = parts.dropFirst().filter { $0.hasPrefix("charset=") }
        guard parts.first == "application/json",
            charsets.allSatisfy({ $0 == "charset=utf-8" || $0 == #"charset="utf-8""# })
        else {
            let detail = "the body must be application/json in UTF-8" + Problem.found(field)
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
    /// The end of a sentence about a header field: its value; `none` if the request does not have it.
    static func found(_ value: Text?) -> String {
        ", found " + (value?.quotedForMessage ?? "none")
    }

    static func bodyTooLarge(limit: Int) -> Problem {
        Problem(.overLimit, "the body is over the limit of \(limit) bytes (--max-body-bytes)")
    }
}
