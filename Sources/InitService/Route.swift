internal import ByteText
internal import EmbeddedFiles
import HTTPExchange
import HTTPTypes
import InitAPI
import WeightInit

/// A path and its answer: one row of the table that dispatch, 404, 405 and `OPTIONS` share.
///
/// A class, because rows never change, and copying a reference costs less than copying a row.
final class Route: Sendable {
    let path: RoutePath
    let methods: [HTTPRequest.Method]
    /// `false` for probes and pages.
    let needsToken: Bool
    /// `true` if the route ignores the query, whatever it holds.
    let ignoresQuery: Bool
    let respond: @Sendable (InitService, RouteRequest) throws(Problem) -> RouteOutcome

    init(
        path: RoutePath,
        methods: [HTTPRequest.Method],
        needsToken: Bool = true,
        ignoresQuery: Bool = false,
        respond: @escaping @Sendable (InitService, RouteRequest) throws(Problem) -> RouteOutcome
    ) {
        self.path = path
        self.methods = methods
        self.needsToken = needsToken
        self.ignoresQuery = ignoresQuery
        self.respond = respond
    }

    /// Value of `Allow`. Every route also answers `OPTIONS`.
    var allow: String {
        (methods + [.options]).map(\.rawValue).joined(separator: ", ")
    }

    /// The route of an operation.
    private static func operation(_ operation: Operation) -> Route {
        Route(path: RoutePath("/" + operation.name), methods: [.get, .head] + (operation.takesBody ? [.post] : [])) {
            service,
            request throws(Problem) in
            try request.respond(with: service.operations) { asking throws(InitError) in
                try operation.decode(request.members).answer(asking)
            }
        }
    }

    /// `/init` at a path that ends in a file's name, whose extension is the format.
    private static let file = Route(path: RoutePath("/init/{file}"), methods: [.get, .head, .post]) {
        service,
        request throws(Problem) in
        guard !request.captures[0].isEmpty else { throw Problem(noRouteAt: "/init/", known: ["/init"]) }
        let file: InitFile
        do throws(InitError) {
            file = try InitFile(name: request.captures[0])
        } catch {
            throw Problem(notFound: error)
        }
        return try request.respond(with: service.operations) { asking throws(InitError) in
            try InitQuestion(request.members, in: file).answer(asking)
        }
    }

    /// The route of a document, which takes no members.
    private static func document(
        _ path: Text,
        needsToken: Bool = true,
        _ make: @escaping @Sendable (InitService) throws(Problem) -> Representation
    ) -> Route {
        Route(path: RoutePath(path), methods: [.get, .head], needsToken: needsToken) {
            service,
            request throws(Problem) in
            try request.requireNoMembers()
            return try make(service).respond(to: request)
        }
    }

    // As plain text, because browsers download text/markdown instead of showing it.
    private static let readmeAsText = Representation(
        document: EmbeddedFile.readme.bytes,
        mediaType: "text/plain; charset=utf-8",
        caching: .hour
    )
    /// The README as a page for browsers, and as text for programs.
    private static let readme = Route(path: RoutePath("/docs/readme"), methods: [.get, .head], needsToken: false) {
        _,
        request throws(Problem) in
        try request.requireNoMembers()
        var readme = request.accept.prefersPage(to: "text/plain") ? PageRoute.readme : readmeAsText
        readme.isNegotiated = true
        return try readme.respond(to: request)
    }
    private static let contractInJSON = Representation(
        document: EmbeddedFile.openAPIinJSON.bytes,
        mediaType: Answer.json,
        caching: .hour
    )
    private static let contractInYAML = Representation(
        document: EmbeddedFile.openAPIinYAML.bytes,
        mediaType: "application/yaml",
        caching: .hour
    )

    static let all: [Route] =
        Operation.all.map(operation) + [
            file,
            .document("/", needsToken: false) { _ in PageRoute.page },
            .document("/docs/problems", needsToken: false) { _ in PageRoute.problems },
            readme,
            .document("/openapi.json") { _ in contractInJSON },
            .document("/openapi.yaml") { _ in contractInYAML },
            metrics,
            .document("/version") { _ in
                let release: JSONValue = [
                    "version": .string(Text(Release.version)), "profile": .string(Release.profile),
                ]
                return Representation(document: release.encoded, mediaType: Answer.json, caching: .never)
            },
        ] + probes + models

    static let metrics = Route.document("/metrics") { service in
        Representation(
            document: Array(service.metrics.exposition(of: service).text.utf8),
            mediaType: Exposition.mediaType,
            caching: .never
        )
    }

    static let probes: [Route] = [
        .document("/livez", needsToken: false) { _ in ok },
        .document("/readyz", needsToken: false, readiness),
        // The path that load balancers outside Kubernetes ask for.
        .document("/health", needsToken: false, readiness),
    ]
}

extension Route {
    @Sendable private static func readiness(_ service: InitService) throws(Problem) -> Representation {
        guard !service.isDraining else {
            throw Problem(.unavailable, "the service is draining", fields: [.retryAfter: "1"])
        }
        return ready
    }

    private static let ok = Representation.probe("ok")
    private static let ready = Representation.probe("ready")
}

/// Routes by path.
struct RouteTable: Sendable {
    static let all = RouteTable(Route.all)
    static let withoutMetrics = RouteTable(Route.all.filter { $0.path.text != Route.metrics.path.text })
    /// The routes of the metrics port.
    static let metricsPort = RouteTable([Route.metrics] + Route.probes, areOpen: true)

    let paths: [Text]
    /// `true` if no route needs a token.
    let areOpen: Bool
    private let byPath: [Text: Route]
    /// Routes with segments in braces, in the order in which they are tried.
    private let patterns: [Route]

    private init(_ routes: [Route], areOpen: Bool = false) {
        paths = routes.map(\.path.text)
        self.areOpen = areOpen
        let exact = routes.filter(\.path.isExact)
        byPath = Dictionary(uniqueKeysWithValues: exact.map { ($0.path.text, $0) })
        patterns = routes.filter { !$0.path.isExact }
    }

    /// The route of a target, and the target's segments in the places of those in braces.
    func match(_ target: RequestTarget) -> (route: Route, captures: [Text])? {
        if let path = target.path, let route = byPath[path] { return (route, []) }
        for route in patterns {
            if let captures = route.path.match(target.segments) { return (route, captures) }
        }
        return nil
    }
}

extension Representation {
    fileprivate static func probe(_ status: Text) -> Representation {
        let document: JSONValue = ["status": .string(status)]
        return Representation(document: document.encoded, mediaType: Answer.json, caching: .never)
    }
}
