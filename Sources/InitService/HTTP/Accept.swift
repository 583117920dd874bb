internal import ByteText
import InitAPI

/// Preferences among media types, RFC 9110 section 12.5.1.
struct Accept: MediaPreference {
    private struct Range {
        var type: Text
        var subtype: Text
        var quality: Double
    }

    /// Empty if every media type is acceptable.
    private let ranges: [Range]
    private let fieldValue: Text?

    var found: String { Problem.found(fieldValue) }

    /// Malformed elements are skipped. Without the header, or without a well-formed element in it, every media type is
    /// acceptable.
    init(_ fieldValue: Text?) {
        ranges = fieldValue.map { FieldList.elements(of: $0).compactMap(Accept.range) } ?? []
        self.fieldValue = fieldValue
    }

    private static func range(_ element: Text) -> Range? {
        let parts = FieldList.elements(of: element, separator: ";")
        let names = parts.first?.asciiLowercased().split(separator: "/") ?? []
        guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty, names[0] != "*" || names[1] == "*" else {
            return nil
        }
        var quality = 1.0
        for parameter in parts.dropFirst() {
            guard let text = parameter.asciiLowercased().removing(prefix: "q=") else { continue }
            guard text.utf8.allSatisfy({ $0.isDigit || $0 == UInt8(ascii: ".") }),
                let value = Double(text.description), value <= 1
            else { return nil }
            quality = value
        }
        return Range(type: names[0], subtype: names[1], quality: quality)
    }

    /// `true` if a page is preferred to all of these media types, as browsers prefer it.
    func prefersPage(to others: String...) -> Bool {
        let page = quality(of: "text/html")
        return others.allSatisfy { quality(of: $0) < page }
    }

    /// The quality of a media type, from 0 to 1: the quality of the most specific range that covers it.
    func quality(of mediaType: String) -> Double {
        guard !ranges.isEmpty else { return 1 }
        let names = Text(mediaType).split(separator: "/")
        guard names.count == 2 else { return 0 }
        func best(_ type: Text, _ subtype: Text) -> Double? {
            ranges.lazy.filter { $0.type == type && $0.subtype == subtype }.map(\.quality).max()
        }
        return best(names[0], names[1]) ?? best(names[0], "*") ?? best("*", "*") ?? 0
    }
}
