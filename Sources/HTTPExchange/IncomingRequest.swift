public import HTTPTypes

/// A request as it came over the wire, received whole.
public struct IncomingRequest: Sendable {
    /// Method and fields; `path` is the request target exactly as sent: still percent-encoded, query included. The `Host`
    /// field is not among the fields but in `authority`.
    public var head: HTTPRequest
    public var body: [UInt8]
    /// Address of the other end, where the transport has one.
    public var peer: String?

    public init(head: HTTPRequest, body: [UInt8] = [], peer: String? = nil) {
        self.head = head
        self.body = body
        self.peer = peer
    }
}
