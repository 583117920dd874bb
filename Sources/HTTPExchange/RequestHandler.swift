public import HTTPTypes

/// The answer to a request: there already, or to be worked out away from the thread that serves connections.
public enum Reply {
    case ready(OutgoingResponse)
    case deferred(DeferredWork)
}

/// Work that must be whole before the first byte can be sent, such as a QR decomposition.
public struct DeferredWork: Sendable {
    /// Bytes of memory the work holds while it runs and, unless the response says otherwise, until that has been sent.
    public var memory: Int
    /// Makes the response. `isCancelled` turns true when nobody waits for it any more; what is returned then is dropped.
    public var run: @Sendable (_ isCancelled: @Sendable () -> Bool) -> OutgoingResponse

    public init(
        memory: Int,
        run: @escaping @Sendable (_ isCancelled: @Sendable () -> Bool) -> OutgoingResponse
    ) {
        self.memory = memory
        self.run = run
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

/// What there is no more room in.
public enum Saturation: Sendable, Equatable, CaseIterable {
    /// As much deferred work waits as may.
    case workQueue
    /// The work waited as long as it may.
    case workTime
    /// The work needs more memory than there is for all of it.
    case workMemory
    /// Responses under way hold all the memory that there is for their bodies.
    case bodyMemory
    /// The transport is ending.
    case stopping
}

/// What a transport needs of the service behind it. Called on several threads at once.
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
