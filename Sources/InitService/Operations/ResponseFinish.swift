import HTTPExchange
import HTTPTypes

/// What every response gets, whoever made it: the request's name, and what the policy has to say.
struct ResponseFinish: Sendable {
    let head: HTTPRequest
    let route: Route?
    /// The name that the client has given the request.
    let givenID: String?
    let ids: RequestIDs
    let policy: ServicePolicy

    func callAsFunction(_ response: OutgoingResponse) -> OutgoingResponse {
        var response = response
        response.note.route = route?.path ?? ServiceMetrics.otherRoute
        let id = givenID ?? ids.make()
        response.note.id = id
        response.head.headerFields.append(HTTPFields.Further.requestID, id)
        if policy.tokens != nil { keepPrivate(&response.head.headerFields) }
        let methods = head.method == .options ? response.head.headerFields[.allow] : nil
        policy.crossOrigin?.add(to: &response.head.headerFields, for: head, methods: methods)
        response.naming = naming(of: response.head)
        return response
    }

    /// What any cache may keep, the transport may.
    private func naming(of response: HTTPResponse) -> ResponseNaming? {
        guard givenID == nil, head.method == .get, response.status == .ok, let field = HTTPFields.Further.requestID,
            response.headerFields.contains(where: { $0.name == .cacheControl && $0.value.hasPrefix("public") })
        else { return nil }
        return ResponseNaming(field: field, makeID: ids.make)
    }

    /// What only some may have must not be kept for all.
    private func keepPrivate(_ fields: inout HTTPFields) {
        guard let caching = fields[.cacheControl], caching.hasPrefix("public") else { return }
        fields[.cacheControl] = "private" + caching.dropFirst("public".count)
    }
}
