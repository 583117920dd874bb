/// A completely received request, as it came over the wire.
public struct IncomingRequest: Sendable {
    public var head: RequestHead
    public var body: [UInt8]
    /// Address of the other end, if the transport has one.
    public var peer: String?

    public init(head: RequestHead, body: [UInt8] = [], peer: String? = nil) {
        self.head = head
        self.body = body
        self.peer = peer
    }
}
