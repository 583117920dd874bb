import HTTPExchange
import HTTPTypes

/// What answers at a path: one row of the table that dispatch, 404, 405 and `OPTIONS` share.
struct Route: Sendable {
    let path: String
    let methods: [HTTPRequest.Method]
    /// Whether whoever keeps the service running asks this, which then has no token.
    var isProbe = false
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
        isProbe: Bool = false,
        _ respond: @escaping @Sendable (InitService, Exchange) throws -> Representation
    ) -> Route {
        Route(path: path, methods: [.get, .head], isProbe: isProbe) { service, exchange in
            _ = try exchange.members.decode(by: [])
            return try respond(service, exchange).reply(to: exchange)
        }
    }

    static let all: [Route] =
        [
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
            metrics,
        ] + probes

    static let metrics = Route.document("/metrics") { service, _ in
        var metrics = Representation(
            .bytes(Array(service.metrics.exposition(of: service).text.utf8)),
            mediaType: Exposition.mediaType,
            caching: .never
        )
        metrics.isNegotiated = false
        return metrics
    }

    static let probes: [Route] = [
        .document("/livez", isProbe: true) { _, _ in .probe("ok") },
        .document("/readyz", isProbe: true) { service, _ in
            guard !service.isDraining else {
                throw Problem(.unavailable, "the service is draining", fields: [.retryAfter: "1"])
            }
            return .probe("ready")
        },
    ]
}

/// What is where.
struct RouteTable: Sendable {
    static let all = RouteTable(Route.all)
    static let withoutMetrics = RouteTable(Route.all.filter { $0.path != Route.metrics.path })
    /// Of the port for those who run the service.
    static let metricsPort = RouteTable([Route.metrics] + Route.probes, areOpen: true)

    let paths: [String]
    /// Whether nothing here wants a token.
    let areOpen: Bool
    private let byPath: [String: Route]

    private init(_ routes: [Route], areOpen: Bool = false) {
        paths = routes.map(\.path)
        self.areOpen = areOpen
        byPath = Dictionary(uniqueKeysWithValues: routes.map { ($0.path, $0) })
    }

    subscript(path: String) -> Route? { byPath[path] }
}

extension Representation {
    fileprivate static func probe(_ status: String) -> Representation {
        var probe = Representation(json: ["status": .string(status)], caching: .never)
        probe.isNegotiated = false
        return probe
    }
}
