public import HTTPTypes

/// A completely received request, as it came over the wire.
public struct IncomingRequest: Sendable {
    /// Method and headers; `path` is the request target exactly as sent: still percent-encoded, query included. `Host`
    /// is not among the headers but in `authority`.
    public var head: HTTPRequest
    public var body: [UInt8]
    /// Address of the other end, if the transport has one.
    public var peer: String?

    public init(head: HTTPRequest, body: [UInt8] = [], peer: String? = nil) {
        self.head = head
        self.body = body
        self.peer = peer
    }
}
