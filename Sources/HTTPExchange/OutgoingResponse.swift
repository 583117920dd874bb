public import ByteSource
public import HTTPTypes

/// Body of a response.
public enum ResponseBody {
    case empty
    case bytes([UInt8])
    /// These bytes of a source; the length is `range.count` and never 0.
    case source(any ByteSource, range: Range<Int>)
    /// As long as it turns out to be: sent chunked.
    case stream(any ByteStream)
    /// The body that a `GET` would have had, which is not sent: for `HEAD` and 304. `nil` where its length is unknown
    /// (a `GET` would have been chunked).
    case unsent(byteCount: Int?)

    /// The length; `nil` where it is known only at the end.
    public var byteCount: Int? {
        switch self {
        case .empty: 0
        case .bytes(let bytes): bytes.count
        case .source(_, let range): range.count
        case .stream: nil
        case .unsent(let byteCount): byteCount
        }
    }
}

/// A response: a head, without `Content-Length` and `Transfer-Encoding` (the transport derives them from the body), and
/// a body.
public struct OutgoingResponse {
    public var head: HTTPResponse
    public var body: ResponseBody
    /// Bytes of memory that the response holds until it has been sent, its body's bytes or what a stream walks included. `nil`
    /// counts as many as deferred work took, and of a response that is ready those of a `bytes` body.
    public var memory: Int?
    public var note = ResponseNote()
    /// Set where every request with the same head, to the last field, gets this response: then the transport may keep it and
    /// answer by itself. Each gets a name of its own all the same.
    public var naming: ResponseNaming?

    public init(head: HTTPResponse, body: ResponseBody = .empty) {
        self.head = head
        self.body = body
    }
}

/// How responses that are otherwise the same are told apart.
public struct ResponseNaming: Sendable {
    /// The field that holds the note's `id`.
    public var field: HTTPField.Name
    public var makeID: @Sendable () -> String

    public init(field: HTTPField.Name, makeID: @escaping @Sendable () -> String) {
        self.field = field
        self.makeID = makeID
    }
}
