public import HTTPTypes

/// A handler's note on a response, returned to it when the exchange ends.
public struct ResponseNote: Sendable, Equatable {
    /// The route's template: one of few, whatever clients send.
    public var route: String
    /// Names the request and its response in logs.
    public var id: String
    /// Reason of a refusal: one word of a short list.
    public var problem: String?

    public init(route: String = "", id: String = "", problem: String? = nil) {
        self.route = route
        self.id = id
        self.problem = problem
    }
}

/// How an exchange ended.
public struct ExchangeEnd: Sendable {
    /// Of the request; `GET` where the connection ended before it had told.
    public var method: HTTPRequest.Method
    /// As many of the request's fields as there were.
    public var fields = HTTPFields()
    /// Address of the other end, where the transport has one.
    public var peer: String?
    /// Of the response; `nil` where the connection ended before there was one.
    public var status: Int?
    /// The handler's note; `nil` if the transport answered itself, or nobody did.
    public var note: ResponseNote?
    /// Bytes of the body that were handed to the connection.
    public var bodyByteCount = 0
    /// From the arrival of the request's first line to the end of sending.
    public var nanoseconds = 0
    /// False where the connection ended before the response did.
    public var isWhole = true

    public init(method: HTTPRequest.Method, status: Int?, note: ResponseNote? = nil) {
        self.method = method
        self.status = status
        self.note = note
    }
}

/// Current load of a transport.
public struct TransportLoad: Sendable {
    /// Requests whose first line has arrived and whose response has not gone out whole.
    public var activeExchanges = 0
    /// Open connections, idle ones included.
    public var openConnections = 0
    /// Requests answered so far with a reply that was kept.
    public var repeatedRequests = 0
    /// Bytes held by kept replies.
    public var replyCacheBytes = 0
    /// Bytes held by bodies of responses under way, apart from deferred work's.
    public var bodyMemory = 0
    /// Bytes held by bodies of requests, while they are received and until they are answered.
    public var uploadMemory = 0
    /// Deferred work that waits for a thread or for memory.
    public var waitingWork = 0
    /// Deferred work that is being done.
    public var runningWork = 0
    /// Bytes held by deferred work and by its responses.
    public var workMemory = 0

    public init() {}
}
