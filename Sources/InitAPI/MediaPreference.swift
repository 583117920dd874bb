internal import ByteText
import WeightInit

/// A client's preferences among media types.
package protocol MediaPreference: Sendable {
    /// The quality of a media type, from 0 (not acceptable) to 1.
    func quality(of mediaType: String) -> Double

    /// End of a sentence that quotes the preference: `, found "text/html"`.
    var found: String { get }
}

extension MediaPreference {
    /// The offer with the highest quality, the first among equals; `nil` if none is acceptable.
    func preferred<Offer>(among offers: [Offer], mediaType: (Offer) -> String) -> Offer? {
        var best: (offer: Offer, quality: Double)?
        for offer in offers {
            let quality = quality(of: mediaType(offer))
            if quality > best?.quality ?? 0 { best = (offer, quality) }
        }
        return best?.offer
    }

    /// - Throws: `notOffered` if JSON is not acceptable.
    func requireJSON() throws(InitError) {
        guard quality(of: Answer.json) > 0 else {
            let detail = "only \(Answer.json) is offered here\(found)"
            throw InitError(.notOffered, [], detail, allowed: [Text(Answer.json)])
        }
    }
}

/// The preferences of a caller that accepts every media type.
struct AnyMediaType: MediaPreference {
    func quality(of mediaType: String) -> Double { 1 }

    var found: String { "" }
}
