public import HTTPExchange
public import HTTPTypes
import Synchronization
import WeightInit

/// Turns requests into replies. Knows nothing of sockets: whoever has some hands it whole requests.
public final class InitService: RequestHandler {
    /// The release of PyTorch, and the processor, whose bits these are.
    static let profile = "torch-2.13"

    let limits: ServiceLimits
    let preparations: PreparationCache
    private let draining = Atomic(false)

    public init(limits: ServiceLimits = ServiceLimits()) {
        self.limits = limits
        preparations = PreparationCache(limit: limits.cacheBytes)
    }

    /// From here on `/readyz` answers 503, so that nobody sends more; all else is answered as before.
    public func beginDraining() {
        draining.store(true, ordering: .relaxed)
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }

    public func respond(to request: IncomingRequest) -> Reply {
        var form = Problem.Form.query
        let reply: Reply
        do {
            reply = try answer(request, form: &form)
        } catch let problem as Problem {
            reply = .ready(problem.response)
        } catch let error as InitError {
            reply = .ready(Problem(error, form: form).response)
        } catch {
            reply = .ready(Problem(.internalError, "an unforeseen error").response)
        }
        return request.head.method == .head ? reply.withoutBody : reply
    }

    public func refuse(_ refusal: Refusal, head: HTTPRequest) -> OutgoingResponse {
        let response = Problem(refusal).response
        return head.method == .head ? response.withoutBody : response
    }

    /// - Parameter form: Set as soon as it is known in which form errors have to name their place.
    private func answer(_ request: IncomingRequest, form: inout Problem.Form) throws -> Reply {
        let target = try RequestTarget(request.head.path ?? "")
        let method = request.head.method
        if target.isAsterisk, method == .options {
            return .ready(.options(allow: "GET, HEAD, POST, OPTIONS"))
        }
        guard let path = target.path, let route = Route.byPath[path] else {
            throw Problem(noRouteAt: target.path, known: Route.all.map(\.path))
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
            form: form
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
        let byteCount: Int? =
            switch body {
            case .empty: 0
            case .bytes(let bytes): bytes.count
            case .source(_, let range): range.count
            case .stream: nil
            case .unsent(let byteCount): byteCount
            }
        return OutgoingResponse(head: head, body: .unsent(byteCount: byteCount))
    }
}

extension Reply {
    fileprivate var withoutBody: Reply {
        switch self {
        case .ready(let response): .ready(response.withoutBody)
        case .deferred: self
        }
    }
}
