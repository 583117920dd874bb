/// The answer to a request: ready, or to be made on another thread than the one that serves connections.
public enum Reply {
    case ready(OutgoingResponse)
    case deferred(DeferredWork)
}

/// Work that must be complete before the first byte can be sent, such as a QR decomposition or the plan of a large
/// model.
public struct DeferredWork: Sendable {
    /// Bytes of memory that the work holds while it runs and, unless the response says otherwise, until the response
    /// has been sent.
    public var memory: Int
    /// Estimate of the processor time that the work takes. Cheap work is never queued behind expensive work.
    public var cost: Duration
    /// The handler's note on the exchange, should it end before there is a response.
    public let note: ResponseNote?
    /// Makes the response, or returns a deferred reply if it finds that more work is needed. The deferred work then
    /// runs next, with its own memory and in the queue for its own cost, after this work's memory has been released.
    /// `isCancelled` turns true when nobody waits for the response any more; the result is then dropped. The work calls
    /// it every few milliseconds.
    public let run: @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> Reply

    /// Work that ends with the response.
    ///
    /// - Parameter cost: An hour by default: work of unknown cost is queued with long work.
    public init(
        memory: Int,
        cost: Duration = .seconds(3600),
        run: @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> OutgoingResponse
    ) {
        self.init(memory: memory, cost: cost, note: nil, attempt: { .ready(run($0)) })
    }

    private init(
        memory: Int,
        cost: Duration,
        note: ResponseNote?,
        attempt: @escaping @Sendable (@escaping @Sendable () -> Bool) -> Reply
    ) {
        self.memory = memory
        self.cost = cost
        self.note = note
        run = attempt
    }

    /// Work that may find that more work is needed.
    public static func attempt(
        memory: Int,
        cost: Duration,
        note: ResponseNote? = nil,
        _ run: @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> Reply
    ) -> DeferredWork {
        DeferredWork(memory: memory, cost: cost, note: note, attempt: run)
    }
}

/// Reason for which the transport refuses a request before, or instead of, handing it to the handler.
public enum Refusal: Sendable, Equatable {
    /// The framing or the head is not acceptable HTTP: 400.
    case malformed(String)
    /// The body is, or says it will be, longer than `limit` bytes: 413.
    case bodyTooLarge(limit: Int)
    /// `Expect` asks for something other than `100-continue`: 417.
    case expectationFailed(String)
    /// The request did not arrive in time: 408.
    case timedOut
    /// The head has more fields than are accepted: 431.
    case tooManyFields(limit: Int)
    /// The deferred work needs `need` bytes of memory, more than all deferred work may hold: 413.
    case workTooLarge(need: Int, limit: Int)
    /// There is no room for the request now: 503.
    case saturated(Saturation, retryAfterSeconds: Int)
}

/// An exhausted resource.
public enum Saturation: Sendable, Equatable, CaseIterable {
    /// The queue of deferred work is full.
    case workQueue
    /// The work waited until its timeout.
    case workTime
    /// The work needs more memory than other work or the host leaves.
    case workMemory
    /// Active responses hold all the memory for response bodies.
    case bodyMemory
    /// Arriving requests hold all the memory for request bodies.
    case uploadMemory
    /// The transport is ending.
    case stopping
}

/// The service behind a transport. Called on several threads at once.
public protocol RequestHandler: Sendable {
    /// Answers a request. Returns quickly: long work is deferred, long bodies are sources or streams.
    func respond(to request: IncomingRequest) -> Reply

    /// Makes the service's response to a refused request.
    func refuse(_ refusal: Refusal, head: RequestHead) -> OutgoingResponse

    /// Receives the end of each exchange, once. Returns quickly.
    func ended(_ exchange: ExchangeEnd)
}

extension RequestHandler {
    public func ended(_ exchange: ExchangeEnd) {}
}
