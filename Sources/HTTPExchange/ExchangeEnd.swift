public import HTTPTypes

/// A handler's note on a response, returned to it when the exchange ends.
public struct ResponseNote: Sendable, Equatable {
    /// The route's template: one of a short list, whatever clients send.
    public var route: String
    /// The request ID, for logs.
    public var id: String
    /// Reason of a refusal: one word of a short list.
    public var problem: String?

    public init(route: String = "", id: String = "", problem: String? = nil) {
        self.route = route
        self.id = id
        self.problem = problem
    }
}

/// The end of an exchange.
public struct ExchangeEnd: Sendable {
    /// Method of the request; `GET` if the connection ended before the method arrived.
    public var method: HTTPRequest.Method
    /// Headers of the request, as far as they arrived.
    public var fields = HeaderFields()
    /// Address of the other end, if the transport has one.
    public var peer: String?
    /// Status of the response; `nil` if the connection ended before there was a response.
    public var status: Int?
    /// The handler's note; `nil` if the transport answered by itself, or if there was no answer.
    public var note: ResponseNote?
    /// Bytes of the body that were handed to the connection.
    public var bodyByteCount = 0
    /// Time from the arrival of the request's first line to the end of sending.
    public var nanoseconds = 0
    /// `false` if the connection ended before the response did.
    public var isWhole = true

    public init(method: HTTPRequest.Method, status: Int?, note: ResponseNote? = nil) {
        self.method = method
        self.status = status
        self.note = note
    }
}

/// Current load of a transport.
public struct TransportLoad: Sendable {
    /// Requests whose first line has arrived and whose response has not been sent completely.
    public var activeExchanges = 0
    /// Open connections, idle ones included.
    public var openConnections = 0
    /// Maximum number of open connections; further ones wait until others close.
    public var connectionLimit = 0
    /// Requests answered so far with a cached reply.
    public var repeatedRequests = 0
    /// Bytes held by cached replies.
    public var replyCacheBytes = 0
    /// Bytes held by bodies of active responses, except responses of deferred work.
    public var bodyMemory = 0
    /// Bytes held by bodies of requests, while they are received and until they are answered.
    public var uploadMemory = 0
    /// Deferred work that waits for a thread or for memory.
    public var waitingWork = 0
    /// Deferred work that is running.
    public var runningWork = 0
    /// Bytes held by deferred work and by its responses.
    public var workMemory = 0

    public init() {}
}
