public import HTTPTypes

/// The head of a response, without `Content-Length` and `Transfer-Encoding`: the transport derives them from the body.
///
/// Not swift-http-types' `HTTPResponse`, which holds the status as a header field and parses it whenever it is read.
public struct ResponseHead: Sendable {
    public var status: HTTPResponse.Status
    public var fields: HTTPFields

    public init(
        status: HTTPResponse.Status,
        // An empty literal would allocate memory.
        fields: HTTPFields = HTTPFields()
    ) {
        self.status = status
        self.fields = fields
    }
}
