public import HTTPTypes

/// The head of a response, without `Content-Length` and `Transfer-Encoding`: the transport derives them from the body.
///
/// Not swift-http-types' `HTTPResponse`, which holds the status as a header field and parses it whenever it is read.
public struct ResponseHead: Sendable {
    public var status: HTTPResponse.Status
    public var fields: HeaderFields

    public init(
        status: HTTPResponse.Status,
        fields: HeaderFields = HeaderFields()
    ) {
        self.status = status
        self.fields = fields
    }
}
