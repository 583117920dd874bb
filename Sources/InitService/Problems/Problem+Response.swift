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
    func response(to request: HTTPRequest, below prefix: PathPrefix?) -> OutgoingResponse {
        guard kind == .notFound else { return response(below: prefix) }
        let accept = Accept(request.headerFields.text(.accept))
        let isPage = accept.prefersPage(to: Problem.mediaType, Answer.json)
        var response = isPage ? page(below: prefix) : response(below: prefix)
        response.head.headerFields[.vary] = "Accept"
        return response
    }

    private func page(below prefix: PathPrefix?) -> OutgoingResponse {
        let page = DocumentPage(title: kind.title, text: detail, home: (prefix?.text ?? "") + "/").html
        var response = response(mediaType: PageRoute.mediaType, page)
        response.head.headerFields[.contentSecurityPolicy] = ContentSecurityPolicy.text(in: page)
        return response
    }

    private func response(mediaType: String, _ body: [UInt8]) -> OutgoingResponse {
        var head = HTTPResponse(status: kind.status, headerFields: fields)
        head.headerFields[.contentType] = mediaType
        head.headerFields[.cacheControl] = "no-store"
        var response = OutgoingResponse(head: head, body: .bytes(body))
        response.note.problem = kind.slug
        return response
    }
}
