import HTTPExchange
import HTTPTypes

/// What every response gets, whoever made it: the request's name, and what the policy has to say.
struct ResponseFinish: Sendable {
    let head: HTTPRequest
    let route: Route?
    let id: String
    let policy: ServicePolicy

    func callAsFunction(_ response: OutgoingResponse) -> OutgoingResponse {
        var response = response
        response.note.route = route?.path ?? ServiceMetrics.otherRoute
        response.note.id = id
        response.head.headerFields[HTTPFields.Further.requestID] = id
        if policy.tokens != nil { keepPrivate(&response.head.headerFields) }
        let methods = head.method == .options ? response.head.headerFields[.allow] : nil
        policy.crossOrigin?.add(to: &response.head.headerFields, for: head, methods: methods)
        return response
    }

    /// What only some may have must not be kept for all.
    private func keepPrivate(_ fields: inout HTTPFields) {
        guard let caching = fields[.cacheControl], caching.hasPrefix("public") else { return }
        fields[.cacheControl] = "private" + caching.dropFirst("public".count)
    }
}
