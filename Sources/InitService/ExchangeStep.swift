internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI

/// A step of every exchange, whatever its route: a check before the route, a change of its response, or both.
struct ExchangeStep: Sendable {
    private let check: @Sendable (RoutedHead, ServicePolicy) throws(Problem) -> Void
    private let change: @Sendable (inout OutgoingResponse, RoutedHead, ServicePolicy) -> Void

    private init(
        check: @escaping @Sendable (RoutedHead, ServicePolicy) throws(Problem) -> Void = { _, _ in },
        change: @escaping @Sendable (inout OutgoingResponse, RoutedHead, ServicePolicy) -> Void = { _, _, _ in }
    ) {
        self.check = check
        self.change = change
    }

    /// The steps in the order in which they run. All checks come before the route, all changes after it.
    static let all: [ExchangeStep] = [
        token, headWithoutBody, identifier, trace, privacy, crossOrigin, noSniffing, naming,
    ]

    /// - Throws: 401.
    static func check(_ head: RoutedHead, _ policy: ServicePolicy) throws(Problem) {
        for step in all { try step.check(head, policy) }
    }

    static func change(_ response: inout OutgoingResponse, _ head: RoutedHead, _ policy: ServicePolicy) {
        for step in all { step.change(&response, head, policy) }
    }
}

/// The head of a request, and the route that it matches.
struct RoutedHead: Sendable {
    let head: RequestHead
    /// `nil` if nothing is at the path.
    private(set) var route: Route?
    /// Segments of the path in the places of those in braces in the route's path.
    private(set) var captures: [Text]
    /// `true` if the routes are those of the metrics port, which need no token.
    let isOpen: Bool
    /// The request ID: the client's, or one made by the service.
    let id: String
    let isNamedByClient: Bool
    let ids: RequestIDs

    mutating func lead(to match: (route: Route, captures: [Text])?) {
        (route, captures) = (match?.route, match?.captures ?? [])
    }

    var note: ResponseNote {
        ResponseNote(route: route?.path.text.description ?? ServiceMetrics.otherRoute, id: id)
    }
}

extension ExchangeStep {
    /// Checks that a request has one of the tokens. Probes and pages need none. Neither does `OPTIONS`, which a browser
    /// sends without the token to ask whether it may send one.
    private static let token = ExchangeStep(check: { request, policy throws(Problem) in
        guard let tokens = policy.tokens, request.head.method != .options, !request.isOpen,
            request.route?.needsToken != false
        else { return }
        try tokens.check(request.head.fields)
    })

    /// Removes the body of a response to `HEAD`, also if the body is a problem document.
    private static let headWithoutBody = ExchangeStep(change: { response, request, _ in
        guard request.head.method == .head else { return }
        response.body = .unsent(byteCount: response.body.byteCount)
    })

    /// Adds the request ID to the response and to its log line, and the route to its log line and metrics.
    private static let identifier = ExchangeStep(change: { response, request, _ in
        let note = request.note
        (response.note.route, response.note.id) = (note.route, note.id)
        response.head.fields.append(HeaderFields.Further.requestID, request.id)
    })

    /// Adds the request's `traceparent` to the response (W3C Trace Context).
    private static let trace = ExchangeStep(change: { response, request, _ in
        let fields = request.head.fields
        guard TraceParent.traceID(of: fields) != nil, let given = fields[HeaderFields.Further.traceParent] else {
            return
        }
        response.head.fields.append(HeaderFields.Further.traceParent, given)
    })

    /// Makes responses private if the service needs tokens, so that no shared cache sends them to clients without a
    /// token.
    private static let privacy = ExchangeStep(change: { response, _, policy in
        guard policy.tokens != nil, let caching = response.head.fields[.cacheControl], caching.isPublic else {
            return
        }
        response.head.fields[.cacheControl] = "private" + caching.dropFirst("public".count)
    })

    /// Lets pages of the configured origins read the response.
    private static let crossOrigin = ExchangeStep(change: { response, request, policy in
        let methods = request.head.method == .options ? response.head.fields[.allow] : nil
        policy.crossOrigin?.add(to: &response.head.fields, for: request.head, methods: methods)
    })

    /// Tells browsers to trust `Content-Type`.
    private static let noSniffing = ExchangeStep(change: { response, _, _ in
        response.head.fields.append(.noSniffing)
    })

    /// Lets the transport cache a response that any cache may keep for more than a minute. Each copy gets its own
    /// request ID.
    private static let naming = ExchangeStep(change: { response, request, policy in
        guard !request.isNamedByClient, request.head.method == .get, response.head.status == .ok,
            response.isCacheable, policy.tokens == nil, let field = HeaderFields.Further.requestID
        else { return }
        response.naming = ResponseNaming(field: field, makeID: request.ids.make)
    })
}

extension String {
    /// `true` if the value of `Cache-Control` begins with `public`. The service writes the value, so its case does not
    /// vary.
    fileprivate var isPublic: Bool { utf8.starts(with: "public".utf8) }
}

extension HTTPField {
    // Made once: a field is checked, character by character, when it is made.
    fileprivate static let noSniffing = HTTPField(name: .xContentTypeOptions, value: "nosniff")
}
