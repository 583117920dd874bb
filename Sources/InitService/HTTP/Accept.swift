/// Preferences among media types, RFC 9110 section 12.5.1.
struct Accept: Sendable {
    private struct Range {
        var type: Substring
        var subtype: Substring
        var quality: Double
    }

    /// Empty where all is acceptable.
    private let ranges: [Range]

    /// Elements that cannot be read are passed over; without a field, or with nothing to read in it, all is acceptable.
    init(_ fieldValue: String?) {
        ranges = fieldValue.map { FieldList.elements(of: $0).compactMap(Accept.range) } ?? []
    }

    private static func range(_ element: Substring) -> Range? {
        let parts = FieldList.elements(of: String(element), separator: ";")
        let names = parts.first?.lowercased().split(separator: "/", omittingEmptySubsequences: false) ?? []
        guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty, names[0] != "*" || names[1] == "*" else {
            return nil
        }
        var quality = 1.0
        for parameter in parts.dropFirst() where parameter.lowercased().hasPrefix("q=") {
            let text = String(parameter.dropFirst(2))
            guard text.utf8.allSatisfy({ $0.isDigit || $0 == UInt8(ascii: ".") }), let value = Double(text), value <= 1
            else { return nil }
            quality = value
        }
        return Range(type: names[0], subtype: names[1], quality: quality)
    }

    /// How welcome a media type is, from 0 to 1: what the most specific range that covers it says.
    func quality(of mediaType: String) -> Double {
        guard !ranges.isEmpty else { return 1 }
        let names = mediaType.split(separator: "/")
        guard names.count == 2 else { return 0 }
        func best(_ type: Substring, _ subtype: Substring) -> Double? {
            ranges.filter { $0.type == type && $0.subtype == subtype }.map(\.quality).max()
        }
        return best(names[0], names[1]) ?? best(names[0], "*") ?? best("*", "*") ?? 0
    }

    /// The most welcome of what is offered, the first among equals; `nil` where none is acceptable.
    func preferred<Offer>(among offers: [Offer], mediaType: (Offer) -> String) -> Offer? {
        var best: (offer: Offer, quality: Double)?
        for offer in offers {
            let quality = quality(of: mediaType(offer))
            if quality > best?.quality ?? 0 { best = (offer, quality) }
        }
        return best?.offer
    }
}
