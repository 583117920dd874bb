public import HTTPTypes

/// The answer to a request: there already, or to be worked out away from the thread that serves connections.
public enum Reply {
    case ready(OutgoingResponse)
    case deferred(DeferredWork)
}

/// Work that must be whole before the first byte can be sent, such as a QR decomposition or the plan of a large model.
public struct DeferredWork: Sendable {
    /// Bytes of memory the work holds while it runs and, unless the response says otherwise, until that has been sent.
    public var memory: Int
    /// Estimate of the processor time that the work takes. Work of little cost is never queued behind work of much.
    public var cost: Duration
    /// The handler's note on the exchange, should it end before there is a response.
    public let note: ResponseNote?
    /// Makes the response, or finds that it takes more work than was known: a deferred reply is done next, with the memory and
    /// in the queue that it asks for, and what this work held is given back before. `isCancelled` turns true when nobody
    /// waits for it any more; what is returned then is dropped. Work asks it every few milliseconds.
    public let run: @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> Reply

    /// Work that ends with the response.
    ///
    /// - Parameter cost: An hour, unless given: work of unknown cost is queued with long work.
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

    /// Work that may find that there is more to do.
    public static func attempt(
        memory: Int,
        cost: Duration,
        note: ResponseNote? = nil,
        _ run: @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> Reply
    ) -> DeferredWork {
        DeferredWork(memory: memory, cost: cost, note: note, attempt: run)
    }
}

/// Why the transport refuses a request before, or instead of, handing it to the handler.
public enum Refusal: Sendable, Equatable {
    /// The framing or the head is not acceptable HTTP: 400.
    case malformed(String)
    /// The body is, or says it will be, longer than `limit` bytes: 413.
    case bodyTooLarge(limit: Int)
    /// `Expect` asks for something other than `100-continue`: 417.
    case expectationFailed(String)
    /// The request did not arrive in time: 408.
    case timedOut
    /// The head has more fields than are taken: 431.
    case tooManyFields(limit: Int)
    /// There is no room for the request now: 503.
    case saturated(Saturation, retryAfterSeconds: Int)
}

/// An exhausted resource.
public enum Saturation: Sendable, Equatable, CaseIterable {
    /// As much deferred work waits as may.
    case workQueue
    /// The work waited as long as it may.
    case workTime
    /// The work needs more memory than there is for all of it.
    case workMemory
    /// Responses under way hold all the memory that there is for their bodies.
    case bodyMemory
    /// Requests being received hold all the memory that there is for their bodies.
    case uploadMemory
    /// The transport is ending.
    case stopping
}

/// The service behind a transport. Called on several threads at once.
public protocol RequestHandler: Sendable {
    /// Answers a request. Returns quickly: long work is deferred, long bodies are sources or streams.
    func respond(to request: IncomingRequest) -> Reply

    /// Puts a refusal into the words and the form of the service.
    func refuse(_ refusal: Refusal, head: HTTPRequest) -> OutgoingResponse

    /// Hears of each exchange once, when the transport is done with it. Returns quickly.
    func ended(_ exchange: ExchangeEnd)
}

extension RequestHandler {
    public func ended(_ exchange: ExchangeEnd) {}
}
