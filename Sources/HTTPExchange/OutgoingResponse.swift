public import ByteSource
public import HTTPTypes

/// Body of a response.
public enum ResponseBody {
    case empty
    case bytes([UInt8])
    /// These bytes of a source; the length is `range.count` and never 0.
    case source(any ByteSource, range: Range<Int>)
    /// A body of unknown length, sent chunked.
    case stream(any ByteStream)
    /// The body that a `GET` would have had, which is not sent: for `HEAD` and 304. `nil` if its length is unknown (a
    /// `GET` would have been chunked).
    case unsent(byteCount: Int?)

    /// The length; `nil` if it is known only at the end.
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

/// A response: a head and a body.
public struct OutgoingResponse {
    public var head: ResponseHead
    public var body: ResponseBody
    /// Bytes of memory that the response holds until it has been sent, including its body's bytes or the data that a
    /// stream reads. `nil` means as many as the deferred work held or, for a response that is ready, the bytes of a
    /// `bytes` body.
    public var memory: Int?
    public var note = ResponseNote()
    /// `true` if any cache may keep the response for more than a minute.
    public var isCacheable = false
    /// Set if every request with an identical head gets this response. The transport may then cache the response and
    /// answer by itself, with a new request ID each time.
    public var naming: ResponseNaming?

    public init(head: ResponseHead, body: ResponseBody = .empty) {
        self.head = head
        self.body = body
    }
}

/// The header by which copies of a cached response are told apart, and its values.
public struct ResponseNaming: Sendable {
    /// The field that holds the note's `id`.
    public var field: HTTPField.Name
    public var makeID: @Sendable () -> String

    public init(field: HTTPField.Name, makeID: @escaping @Sendable () -> String) {
        self.field = field
        self.makeID = makeID
    }
}
