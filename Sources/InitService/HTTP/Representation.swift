import ByteSource
import HTTPExchange
import HTTPTypes
import WeightInit

/// What a route has to say, before conditions, ranges and `HEAD` decide how much of it is sent.
struct Representation: Sendable {
    enum Content: Sendable {
        case bytes([UInt8])
        /// Any part of it can be made: serves ranges.
        case source(byteCount: Int, make: @Sendable (PreparedPlan) throws(InitError) -> any ByteSource)
        /// Worked out without a plan; long work where `workMemory` is set. `nil` when cancelled.
        case computed(@Sendable (_ isCancelled: () -> Bool) throws(InitError) -> [UInt8]?)
        /// Its length is known when it has been made. `isShort` where that is done at once.
        case generated(isShort: Bool, make: Make)

        /// Makes a body. What it makes after `isCancelled` has turned true is dropped.
        typealias Make = @Sendable (PreparedPlan, _ isCancelled: () -> Bool) throws(InitError) -> ResponseBody
    }

    /// Who may keep it, and how long.
    struct Caching: Sendable, Equatable {
        let field: HTTPField

        private init(_ value: String) {
            field = HTTPField(name: .cacheControl, value: value)
        }

        /// A pure function of the request.
        static let forever = Caching("public, max-age=31536000, immutable")
        /// Changes with the release of the service.
        static let hour = Caching("public, max-age=3600")
        static let never = Caching("no-store")
    }

    var mediaType: String
    var content: Content
    var caching: Caching
    /// Whether other media types could have been had.
    var isNegotiated = true
    /// `nil` stands for the tag of the bytes, which must then be there.
    var entityTag: EntityTag?
    /// The canonical URL.
    var location: String?
    /// What only this representation says of itself.
    var fields = HTTPFields()
    /// What there must be before a source or anything else can be made.
    var preparation: PlanPreparation?
    /// Bytes of memory that making the first byte takes besides, where that is long work even of a prepared plan.
    var workMemory: Int?

    init(json: JSONValue, caching: Caching, location: String? = nil) {
        mediaType = "application/json"
        content = .bytes(json.encoded)
        self.caching = caching
        self.location = location
    }

    init(_ content: Content, mediaType: String, caching: Caching) {
        self.content = content
        self.mediaType = mediaType
        self.caching = caching
    }
}
