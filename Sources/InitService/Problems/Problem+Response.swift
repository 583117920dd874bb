import HTTPExchange
import HTTPTypes
import InitAPI

extension Problem {
    /// The problem document as a response, RFC 9457.
    func response(below prefix: PathPrefix?) -> OutgoingResponse {
        var head = HTTPResponse(status: kind.status, headerFields: fields)
        head.headerFields[.contentType] = "application/problem+json"
        head.headerFields[.cacheControl] = "no-store"
        var response = OutgoingResponse(head: head, body: .bytes(document(below: prefix).encoded))
        response.note.problem = kind.slug
        return response
    }
}
