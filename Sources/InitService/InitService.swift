internal import ByteText
public import HTTPExchange
import HTTPTypes
public import InitAPI
public import Logging
import Synchronization
import WeightInit

/// Turns requests into replies. The service knows nothing of sockets: a transport hands it complete requests.
public final class InitService: RequestHandler {
    let operations: OperationContext
    let policy: ServicePolicy
    let metrics = ServiceMetrics()
    private let logger: Logger
    private let requestIDs = RequestIDs()
    private let digests = RepresentationDigests()
    private let draining = Atomic(false)

    /// - Parameter logger: Logs each exchange: at `error` if its status is 500, else at `info`.
    public init(
        limits: ServiceLimits = ServiceLimits(),
        policy: ServicePolicy = ServicePolicy(),
        models: ModelCatalogue = ModelCatalogue(),
        logger: Logger = Logger(label: "weight-init") { _ in SwiftLogNoOpLogHandler() }
    ) {
        operations = OperationContext(limits: limits, models: models)
        self.policy = policy
        self.logger = logger
    }

    /// Sets the function from which the metrics get the transport's load.
    public func observe(_ load: @escaping @Sendable () -> TransportLoad) {
        metrics.observe(load)
    }

    /// Makes `/readyz` and `/health` answer 503 from now on, so that load balancers send no more requests. All other
    /// routes answer as before.
    public func beginDraining() {
        draining.store(true, ordering: .relaxed)
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }

    public func respond(to request: IncomingRequest) -> Reply {
        respond(to: request, at: policy.metricsAreApart ? .withoutMetrics : .all)
    }

    func respond(to request: IncomingRequest, at routes: RouteTable) -> Reply {
        guard let prefix = policy.pathPrefix else {
            return attempt(request, at: routes, within: .immediate, newTiming)
        }
        guard let target = prefix.removed(from: request.head.target) else {
            return .ready(finished(.redirect(to: prefix.text + "/"), routed(request.head, at: routes, nil)))
        }
        var request = request
        request.head.target = target
        return attempt(request, at: routes, within: .immediate, newTiming)
    }

    public func refuse(_ refusal: Refusal, head: RequestHead) -> OutgoingResponse {
        let target = try? RequestTarget(policy.pathPrefix?.removed(from: head.target) ?? head.target)
        var response = Problem(refusal).response(below: policy.pathPrefix)
        if case .saturated(let saturation, _) = refusal { response.note.problem = saturation.reason }
        return finished(response, routed(head, at: .all, target))
    }

    public func ended(_ exchange: ExchangeEnd) {
        metrics.count(exchange)
        logger.log(exchange)
    }

    private var newTiming: ServerTiming? { policy.timesResponses ? ServerTiming() : nil }

    /// Answers within the allowance. If the allowance is too small, the reply is a deferred attempt with a wider one.
    private func attempt(
        _ request: IncomingRequest,
        at routes: RouteTable,
        within allowance: Allowance,
        _ timing: ServerTiming?,
        id: String? = nil
    ) -> Reply {
        var routed = routed(request.head, at: routes, nil, id: id)
        let outcome = outcome(of: routed) { () throws(Problem) in
            let target = try RequestTarget(request.head.target)
            routed.lead(to: routes.match(target))
            return try answer(request, target, routed, at: routes, within: allowance)
        }
        return reply(outcome, to: request, routed, at: routes, timing)
    }

    /// All errors of checks and routes become responses here.
    private func outcome(of routed: RoutedHead, _ answer: () throws(Problem) -> RouteOutcome) -> RouteOutcome {
        do throws(Problem) {
            return try answer()
        } catch {
            // The port for metrics has no page that a problem's page could lead to.
            return .response(
                routed.isOpen
                    ? error.response(below: policy.pathPrefix)
                    : error.response(to: routed.head, below: policy.pathPrefix)
            )
        }
    }

    private func reply(
        _ outcome: consuming RouteOutcome,
        to request: IncomingRequest,
        _ routed: RoutedHead,
        at routes: RouteTable,
        _ timing: ServerTiming?
    ) -> Reply {
        var timing = timing
        timing?.endAttempt()
        // Consumed, because fields are added to the response, and a second reference to them would make that a copy.
        switch consume outcome {
        case .response(var response):
            finish(&response, routed, timing)
            return .ready(response)
        case .exceeds(let wider, let goOn):
            let estimate = wider.estimate(within: operations.limits)
            return .deferred(
                .attempt(memory: estimate.memory, cost: estimate.duration, note: routed.note) {
                    [self, timing] isCancelled in
                    var timing = timing
                    timing?.endWait()
                    let allowance = wider.until(isCancelled)
                    guard let goOn else {
                        return attempt(request, at: routes, within: allowance, timing, id: routed.id)
                    }
                    let outcome = self.outcome(of: routed) { () throws(Problem) in try goOn(allowance) }
                    return reply(outcome, to: request, routed, at: routes, timing)
                }
            )
        }
    }

    private func answer(
        _ request: IncomingRequest,
        _ target: RequestTarget,
        _ routed: RoutedHead,
        at routes: RouteTable,
        within allowance: Allowance
    ) throws(Problem) -> RouteOutcome {
        let method = request.head.method
        if target.isAsterisk, method == .options {
            return .response(.options(allow: "GET, HEAD, POST, OPTIONS"))
        }
        try ExchangeStep.check(routed, policy)
        guard let route = routed.route else {
            if !routes.areOpen, let problem = problem(modelAloneIn: target) { throw problem }
            // On the metrics port a route would have been found.
            if target.path == Route.metrics.path.text { throw Problem(metricsAreApart: routes.paths) }
            throw Problem(noRouteAt: target.path, known: routes.paths)
        }
        guard method != .options else { return .response(.options(allow: route.allow)) }
        guard route.methods.contains(method) else {
            throw Problem(
                .methodNotAllowed,
                "\(route.path.text) takes \(route.allow), not \(method.rawValue)",
                fields: [.allow: route.allow]
            )
        }
        let reader = MemberReader(limits: operations.limits)
        let place = route.ignoresQuery ? .query([]) : try reader.place(of: request, target)
        let length = request.body.count + request.head.target.utf8.count
        guard length <= allowance.requestBytes else { return .exceeds(allowance.parsing(length)) }
        let members = try place.form.refusing { () throws(InitError) in try reader.members(at: place) }
        let routeRequest = RouteRequest(
            method: method,
            fields: request.head.fields,
            path: route.path.text,
            prefix: policy.pathPrefix,
            captures: routed.captures,
            members: members,
            form: place.form,
            allowance: allowance,
            byteCount: length,
            longestLocation: operations.limits.maximumLocationBytes,
            digests: RepresentationDigest.isWanted(by: request.head.fields, members) ? digests : nil
        )
        return try route.respond(self, routeRequest)
    }

    /// - Parameter id: The request ID made in an earlier attempt, if there was one.
    private func routed(
        _ head: RequestHead,
        at routes: RouteTable,
        _ target: RequestTarget?,
        id: String? = nil
    ) -> RoutedHead {
        let match = target.flatMap(routes.match)
        let givenID = RequestIDs.given(in: head.fields)
        return RoutedHead(
            head: head,
            route: match?.route,
            captures: match?.captures ?? [],
            isOpen: routes.areOpen,
            id: givenID ?? id ?? requestIDs.make(),
            isNamedByClient: givenID != nil,
            ids: requestIDs
        )
    }

    private func finished(_ response: OutgoingResponse, _ routed: RoutedHead) -> OutgoingResponse {
        var response = response
        finish(&response, routed, nil)
        return response
    }

    private func finish(_ response: inout OutgoingResponse, _ routed: RoutedHead, _ timing: ServerTiming?) {
        ExchangeStep.change(&response, routed, policy)
        if let timing {
            timing.add(to: &response.head.fields)
            response.naming = nil
        }
    }
}

/// The outcome of an attempt.
enum RouteOutcome {
    case response(OutgoingResponse)
    /// The allowance was too small. The next attempt gets this one, and begins again unless it can go on from here.
    case exceeds(Allowance, goOn: (@Sendable (Allowance) throws(Problem) -> RouteOutcome)? = nil)
}

extension OutgoingResponse {
    fileprivate static func options(allow: String) -> OutgoingResponse {
        OutgoingResponse(head: ResponseHead(status: .noContent, fields: [.allow: allow]))
    }

    /// RFC 9110, section 15.4.9.
    fileprivate static func redirect(to location: Text) -> OutgoingResponse {
        let fields: HeaderFields = [.location: location.description, .cacheControl: "no-store"]
        return OutgoingResponse(head: ResponseHead(status: .permanentRedirect, fields: fields))
    }
}
