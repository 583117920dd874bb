public import HTTPTypes

/// The head of a request.
///
/// Not swift-http-types' `HTTPRequest`, which holds method and target as header fields: it checks them character by
/// character when it is made, and each copy of it counts the references of four fields.
public struct RequestHead: Sendable {
    public var method: HTTPRequest.Method
    /// The request target exactly as sent: still percent-encoded, query included.
    public var target: String
    /// The value of `Host`, which is not among the fields.
    public var authority: String?
    public var fields: HeaderFields

    public init(
        method: HTTPRequest.Method,
        target: String,
        authority: String? = nil,
        fields: HeaderFields = HeaderFields()
    ) {
        self.method = method
        self.target = target
        self.authority = authority
        self.fields = fields
    }
}
