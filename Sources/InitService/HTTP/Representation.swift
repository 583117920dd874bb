import HTTPExchange
import HTTPTypes
import InitAPI
import WeightInit

/// An answer and its HTTP headers, before conditions, ranges and `HEAD` decide how much of it is sent.
struct Representation: Sendable {
    /// Caching of a response: which caches may keep it, and for how long.
    struct Caching: Sendable, Equatable {
        let field: HTTPField
        /// `true` if any cache may keep the response for more than a minute.
        let isLong: Bool

        private init(_ value: String, isLong: Bool) {
            field = HTTPField(name: .cacheControl, value: value)
            self.isLong = isLong
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
        static let forever = Caching("public, max-age=31536000, immutable", isLong: true)
        /// May change whenever the catalogue of models is read again.
        static let minute = Caching("public, max-age=60", isLong: false)
        /// Changes with the release of the service.
        static let hour = Caching("public, max-age=3600", isLong: true)
        static let never = Caching("no-store", isLong: false)
    }

    var answer: Answer
    var caching: Caching
    /// `true` if another `Accept` could get another reply.
    var isNegotiated: Bool
    /// Headers besides those of the answer.
    var fields = HeaderFields()

    init(_ answer: consuming Answer) {
        // A short document thus has a length, and an entity tag made from its bytes.
        answer.assemble()
        caching = Caching(answer.lifetime)
        isNegotiated = answer.isNegotiated
        self.answer = answer
    }

    /// Adds the headers that only this representation has.
    func addFields(to head: inout HeaderFields) {
        if let fileName = answer.fileName {
            // Browsers can show JSON.
            let kind = answer.mediaType == Answer.json ? ContentDisposition.Kind.inline : .attachment
            head.append(.contentDisposition, ContentDisposition.value(kind, fileName: fileName))
        }
        if let tensor = answer.tensor {
            head.append(HeaderFields.Further.tensorShape, tensor.shape.description)
            head.append(HeaderFields.Further.tensorDtype, tensor.dtype.rawValue)
        }
        for field in fields { head.append(field) }
    }

    /// A document in memory, available in one media type.
    init(document: [UInt8], mediaType: String, caching: Caching) {
        answer = Answer(.bytes(document), mediaType: mediaType, lifetime: .release)
        self.caching = caching
        isNegotiated = false
    }
}
