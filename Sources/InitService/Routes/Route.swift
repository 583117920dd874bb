import HTTPExchange
import HTTPTypes

/// What answers at a path: one row of the table that dispatch, 404, 405 and `OPTIONS` share.
struct Route: Sendable {
    let path: String
    let methods: [HTTPRequest.Method]
    let respond: @Sendable (InitService, Exchange) throws -> Reply

    /// `OPTIONS` is answered everywhere.
    var allow: String {
        (methods + [.options]).map(\.rawValue).joined(separator: ", ")
    }

    /// Something that takes parameters.
    static func question(
        _ path: String,
        _ respond: @escaping @Sendable (InitService, Exchange) throws -> Representation
    ) -> Route {
        Route(path: path, methods: [.get, .head, .post]) { service, exchange in
            try respond(service, exchange).reply(to: exchange)
        }
    }

    /// Something that takes none.
    static func document(
        _ path: String,
        _ respond: @escaping @Sendable (InitService, Exchange) throws -> Representation
    ) -> Route {
        Route(path: path, methods: [.get, .head]) { service, exchange in
            _ = try exchange.members.decode(by: [])
            return try respond(service, exchange).reply(to: exchange)
        }
    }

    static let all: [Route] = [
        .question("/gain", GainRoute.respond),
        .question("/fan", FanRoute.respond),
        .question("/init", InitRoute.respond),
        .question("/explain", ExplainRoute.respond),
        .question("/propagate", PropagateRoute.respond),
        .document("/methods", MethodsRoute.respond),
        .document("/") { _, _ in PageRoute.page },
        .document("/openapi.yaml") { _, _ in
            var document = Representation(
                .bytes(PackageResources.openapi_yaml),
                mediaType: "application/yaml",
                caching: .hour
            )
            document.isNegotiated = false
            return document
        },
        .document("/livez") { _, _ in .probe("ok") },
        .document("/readyz") { service, _ in
            guard !service.isDraining else {
                throw Problem(.unavailable, "the service is draining", fields: [.retryAfter: "1"])
            }
            return .probe("ready")
        },
    ]

    static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })
}

extension Representation {
    fileprivate static func probe(_ status: String) -> Representation {
        var probe = Representation(json: ["status": .string(status)], caching: .never)
        probe.isNegotiated = false
        return probe
    }
}
