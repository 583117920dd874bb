internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI
import WeightInit

extension Problem {
    /// The problem for a path without a route. It names the nearest path.
    init(noRouteAt path: Text?, known: [Text]) {
        var error = InitError.unknown("path", path ?? "", in: [], known: known)
        if path == nil { error.detail = "no path of this service has an encoded /" }
        self.init(notFound: error)
    }

    /// The problem for the metrics' path if the metrics have a port of their own, and this is another one.
    init(metricsAreApart known: [Text]) {
        var error = InitError.unknown("path", Route.metrics.path.text, in: [], known: known)
        error.detail = "\(Route.metrics.path.text) is served on the metrics port (--metrics-port) alone"
        self.init(notFound: error)
    }

    /// The problem for a path at which nothing is, with the error's reason.
    init(notFound error: InitError) {
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
            self.init(.timedOut, "the request did not arrive in time (--receive-timeout, --min-receive-rate)")
        case .tooManyFields(let limit):
            self.init(.headTooLarge, "there are more than \(limit) header fields")
        case .workTooLarge(let need, let limit):
            self.init(
                .overLimit,
                "up to \(need) bytes of memory for the work before the first byte are over the limit of \(limit) "
                    + "(--\(Saturation.workMemory.reason))"
            )
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
    /// Word for the saturation in metrics and log: the option that would make more room.
    var reason: String {
        switch self {
        case .workQueue: "work-queue"
        case .workTime: "work-timeout"
        case .workMemory: "max-work-bytes"
        case .bodyMemory: "max-body-memory"
        case .uploadMemory: "max-upload-memory"
        case .stopping: Problem.Kind.unavailable.slug
        }
    }

    fileprivate var sentence: String {
        switch self {
        case .workQueue: "the queue of work is full (--\(reason))"
        case .workTime: "the work has waited too long (--\(reason))"
        case .workMemory: "there is no memory left for the work (--\(reason))"
        case .bodyMemory: "active replies fill their memory (--\(reason))"
        case .uploadMemory: "arriving requests fill their memory (--\(reason))"
        case .stopping: "the service is shutting down"
        }
    }
}

extension Problem.Form {
    /// Returns the closure's result, or turns its error into a problem that names the place as the client wrote it.
    func refusing<Result>(_ body: () throws(InitError) -> Result) throws(Problem) -> Result {
        do {
            return try body()
        } catch {
            throw Problem(error, form: self)
        }
    }
}
