public import HTTPExchange
public import HTTPTypes
public import Logging
import Synchronization
import WeightInit

/// Turns requests into replies. Knows nothing of sockets: whoever has some hands it whole requests.
public final class InitService: RequestHandler {
    /// The release of PyTorch, and the processor, whose bits these are.
    static let profile = "torch-2.13"
    /// The release of the service.
    public static let version = "1.0.0"

    let limits: ServiceLimits
    let policy: ServicePolicy
    let metrics = ServiceMetrics()
    let preparations: PreparationCache
    private let logger: Logger
    private let requestIDs = RequestIDs()
    private let draining = Atomic(false)

    /// - Parameter logger: Hears of each exchange, at `info`; of those that failed, at `error`.
    public init(
        limits: ServiceLimits = ServiceLimits(),
        policy: ServicePolicy = ServicePolicy(),
        logger: Logger = Logger(label: "weight-init") { _ in SwiftLogNoOpLogHandler() }
    ) {
        self.limits = limits
        self.policy = policy
        self.logger = logger
        preparations = PreparationCache(limit: limits.cacheBytes)
    }

    /// Says whom to ask for what is in hand, for the metrics.
    public func observe(_ load: @escaping @Sendable () -> TransportLoad) {
        metrics.observe(load)
    }

    /// From here on `/readyz` answers 503, so that nobody sends more; all else is answered as before.
    public func beginDraining() {
        draining.store(true, ordering: .relaxed)
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }

    public func respond(to request: IncomingRequest) -> Reply {
        respond(to: request, at: policy.metricsAreApart ? .withoutMetrics : .all)
    }

    func respond(to request: IncomingRequest, at routes: RouteTable) -> Reply {
        var form = Problem.Form.query
        var route: Route?
        let reply: Reply
        do {
            reply = try answer(request, at: routes, &route, &form)
        } catch let problem as Problem {
            reply = .ready(problem.response)
        } catch let error as InitError {
            reply = .ready(Problem(error, form: form).response)
        } catch {
            reply = .ready(Problem(.internalError, "an unforeseen error").response)
        }
        let finish = finish(request.head, route)
        return switch reply {
        case .ready(let response):
            .ready(finish(request.head.method == .head ? response.withoutBody : response))
        case .deferred(let work):
            .deferred(DeferredWork(memory: work.memory) { finish(work.run($0)) })
        }
    }

    public func refuse(_ refusal: Refusal, head: HTTPRequest) -> OutgoingResponse {
        var response = Problem(refusal).response
        if case .saturated(let saturation, _) = refusal { response.note.problem = saturation.reason }
        let route = (try? RequestTarget(head.path ?? ""))?.path.flatMap { RouteTable.all[$0] }
        return finish(head, route)(head.method == .head ? response.withoutBody : response)
    }

    public func ended(_ exchange: ExchangeEnd) {
        metrics.count(exchange)
        logger.log(exchange)
    }

    private func finish(_ head: HTTPRequest, _ route: Route?) -> ResponseFinish {
        ResponseFinish(
            head: head,
            route: route,
            givenID: RequestIDs.given(in: head.headerFields),
            ids: requestIDs,
            policy: policy
        )
    }

    /// - Parameters:
    ///   - place: Set as soon as it is known what the request is for.
    ///   - form: Set as soon as it is known in which form errors have to name their place.
    private func answer(
        _ request: IncomingRequest,
        at routes: RouteTable,
        _ place: inout Route?,
        _ form: inout Problem.Form
    ) throws -> Reply {
        let target = try RequestTarget(request.head.path ?? "")
        let method = request.head.method
        if target.isAsterisk, method == .options {
            return .ready(.options(allow: "GET, HEAD, POST, OPTIONS"))
        }
        place = target.path.flatMap { routes[$0] }
        // A browser asks for leave before it sends a token, and whoever probes has none.
        if method != .options, !routes.areOpen, place?.isProbe != true {
            try policy.tokens?.check(request.head.headerFields)
        }
        guard let path = target.path, let route = place else {
            throw Problem(noRouteAt: target.path, known: routes.paths)
        }
        guard method != .options else { return .ready(.options(allow: route.allow)) }
        guard route.methods.contains(method) else {
            throw Problem(
                .methodNotAllowed,
                "\(path) takes \(route.allow), not \(method.rawValue)",
                fields: [.allow: route.allow]
            )
        }
        let reader = MemberReader(limits: limits)
        let place = try reader.place(of: request, target)
        form = place.form
        let exchange = Exchange(
            method: method,
            fields: request.head.headerFields,
            path: route.path,
            members: try reader.members(at: place),
            form: form,
            longestLocation: limits.maximumLocationBytes
        )
        return try route.respond(self, exchange)
    }
}

extension Problem {
    /// Nothing is at this path; the nearest one is named.
    fileprivate init(noRouteAt path: String?, known: [String]) {
        var error = InitError.unknown("path", path ?? "", in: [], known: known)
        if path == nil { error.detail = "no path here holds an encoded /" }
        self.init(.notFound, error.detail, faults: [Fault(place: nil, detail: error.detail, allowed: error.allowed)])
    }

    init(_ refusal: Refusal) {
        switch refusal {
        case .malformed(let detail):
            self.init(.malformed, detail)
        case .bodyTooLarge(let limit):
            self = .bodyTooLarge(limit: limit)
        case .expectationFailed(let expectation):
            self.init(.expectationFailed, "only 100-continue can be expected, found \(expectation.quotedForMessage)")
        case .timedOut:
            self.init(.timedOut, "the request did not arrive in time (--receive-timeout)")
        case .tooManyFields(let limit):
            self.init(.headTooLarge, "there are more than \(limit) header fields")
        case .saturated(let saturation, let seconds):
            self.init(
                .unavailable,
                "\(saturation.sentence); try again in \(seconds) s",
                fields: [.retryAfter: String(seconds)]
            )
        }
    }
}

extension Saturation {
    /// What stands for it in metrics and log: the option that would make more room.
    var reason: String {
        switch self {
        case .workQueue: "work-queue"
        case .workTime: "work-timeout"
        case .workMemory: "max-work-bytes"
        case .bodyMemory: "max-body-memory"
        case .stopping: Problem.Kind.unavailable.slug
        }
    }

    fileprivate var sentence: String {
        switch self {
        case .workQueue: "as much work waits as may (--work-queue)"
        case .workTime: "the work has waited as long as it may (--work-timeout)"
        case .workMemory: "the work needs more memory than there is for it (--max-work-bytes)"
        case .bodyMemory: "the replies under way hold all the memory that there is for them (--max-body-memory)"
        case .stopping: "the service is ending"
        }
    }
}

extension OutgoingResponse {
    fileprivate static func options(allow: String) -> OutgoingResponse {
        OutgoingResponse(head: HTTPResponse(status: .noContent, headerFields: [.allow: allow]))
    }

    /// What `HEAD` gets of a response to `GET`.
    fileprivate var withoutBody: OutgoingResponse {
        OutgoingResponse(head: head, body: .unsent(byteCount: body.byteCount))
    }
}
