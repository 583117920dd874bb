import HTTPExchange
import HTTPTypes

extension Problem {
    /// The problem document as a response, RFC 9457.
    var response: OutgoingResponse {
        var head = HTTPResponse(status: kind.status, headerFields: fields)
        head.headerFields[.contentType] = "application/problem+json"
        head.headerFields[.cacheControl] = "no-store"
        var response = OutgoingResponse(head: head, body: .bytes(document.encoded))
        response.note.problem = kind.slug
        return response
    }
}
