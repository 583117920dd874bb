internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI

extension Problem {
    static let mediaType = "application/problem+json"

    /// The problem document as a response, RFC 9457.
    func response(below prefix: PathPrefix?) -> OutgoingResponse {
        response(mediaType: Problem.mediaType, document(below: prefix).encoded)
    }

    /// The problem in the form that a request prefers: where nothing is found, a browser gets a page with a way back.
    func response(to request: RequestHead, below prefix: PathPrefix?) -> OutgoingResponse {
        guard kind == .notFound else { return response(below: prefix) }
        let accept = Accept(request.fields.text(.accept))
        let isPage = accept.prefersPage(to: Problem.mediaType, Answer.json)
        var response = isPage ? page(below: prefix) : response(below: prefix)
        response.head.fields[.vary] = "Accept"
        return response
    }

    private func page(below prefix: PathPrefix?) -> OutgoingResponse {
        let page = DocumentPage(title: kind.title, text: detail, home: (prefix?.text ?? "") + "/").html
        var response = response(mediaType: PageRoute.mediaType, page)
        response.head.fields[.contentSecurityPolicy] = ContentSecurityPolicy.text(in: page)
        return response
    }

    private func response(mediaType: String, _ body: [UInt8]) -> OutgoingResponse {
        var head = ResponseHead(status: kind.status, fields: fields)
        head.fields[.contentType] = mediaType
        head.fields[.cacheControl] = "no-store"
        var response = OutgoingResponse(head: head, body: .bytes(body))
        response.note.problem = kind.slug
        return response
    }
}
