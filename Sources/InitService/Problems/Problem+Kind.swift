import HTTPTypes

extension Problem {
    /// Kinds of problems. Their `type` ends in the `slug`.
    enum Kind: String, CaseIterable, Sendable {
        case malformed
        case invalid
        case unauthorized
        case notFound
        case methodNotAllowed
        case notAcceptable
        case timedOut
        case preconditionFailed
        case overLimit
        case unsupportedMediaType
        case rangeNotSatisfiable
        case expectationFailed
        case headTooLarge
        case refused
        case internalError
        case unavailable

        private var row: (status: HTTPResponse.Status, slug: String, title: String) {
            switch self {
            case .malformed: (.badRequest, "malformed-request", "The request is not acceptable HTTP")
            case .invalid: (.badRequest, "invalid-request", "The request is not understood")
            case .unauthorized: (.unauthorized, "unauthorized", "The request has no token that is accepted")
            case .notFound: (.notFound, "not-found", "There is nothing at this path")
            case .methodNotAllowed: (.methodNotAllowed, "method-not-allowed", "This path does not take this method")
            case .notAcceptable: (.notAcceptable, "not-acceptable", "Not available in the form asked for")
            case .timedOut: (.requestTimeout, "request-timeout", "The request did not arrive in time")
            case .preconditionFailed: (.preconditionFailed, "precondition-failed", "A precondition does not hold")
            case .overLimit: (.contentTooLarge, "over-limit", "The request is over a limit")
            case .unsupportedMediaType:
                (.unsupportedMediaType, "unsupported-media-type", "The body's media type is not supported")
            case .rangeNotSatisfiable: (.rangeNotSatisfiable, "range-not-satisfiable", "The range is outside the body")
            case .expectationFailed: (.expectationFailed, "expectation-failed", "The expectation cannot be met")
            case .headTooLarge:
                (.requestHeaderFieldsTooLarge, "head-too-large", "The head of the request is too large")
            case .refused: (.unprocessableContent, "refused", "The initialisation cannot be done")
            case .internalError: (.internalServerError, "internal-error", "The service has failed")
            case .unavailable: (.serviceUnavailable, "unavailable", "The service cannot answer now")
            }
        }

        var status: HTTPResponse.Status { row.status }
        var slug: String { row.slug }
        var title: String { row.title }
    }
}
