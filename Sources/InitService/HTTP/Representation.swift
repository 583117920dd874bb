import HTTPTypes
import InitAPI
import WeightInit

/// An answer and its HTTP headers, before conditions, ranges and `HEAD` decide how much of it is sent.
struct Representation: Sendable {
    /// Caching of a response: which caches may keep it, and for how long.
    struct Caching: Sendable, Equatable {
        let field: HTTPField

        private init(_ value: String) {
            field = HTTPField(name: .cacheControl, value: value)
        }

        init(_ lifetime: Answer.Lifetime) {
            self =
                switch lifetime {
                case .forever: .forever
                case .release: .hour
                case .catalogue: .minute
                }
        }

        /// A pure function of the request.
        static let forever = Caching("public, max-age=31536000, immutable")
        /// May change whenever the catalogue of models is read again.
        static let minute = Caching("public, max-age=60")
        /// Changes with the release of the service.
        static let hour = Caching("public, max-age=3600")
        static let never = Caching("no-store")
    }

    var answer: Answer
    var caching: Caching
    /// `true` if another `Accept` could get another reply.
    var isNegotiated: Bool
    /// Headers that only this representation has.
    var fields = HTTPFields()

    init(_ answer: Answer) {
        self.answer = answer
        // A short document thus has a length, and an entity tag made from its bytes.
        self.answer.assemble()
        caching = Caching(answer.lifetime)
        isNegotiated = answer.isNegotiated
        if let fileName = answer.fileName {
            // Browsers can show JSON.
            let kind = answer.mediaType == Answer.json ? ContentDisposition.Kind.inline : .attachment
            fields.append(.contentDisposition, ContentDisposition.value(kind, fileName: fileName))
        }
        guard let tensor = answer.tensor else { return }
        fields.append(HTTPFields.Further.tensorShape, tensor.shape.description)
        fields.append(HTTPFields.Further.tensorDtype, tensor.dtype.rawValue)
    }

    /// A document in memory, available in one media type.
    init(document: [UInt8], mediaType: String, caching: Caching) {
        answer = Answer(.bytes(document), mediaType: mediaType, lifetime: .release)
        self.caching = caching
        isNegotiated = false
    }
}
