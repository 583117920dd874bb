import Crypto

/// An entity tag, RFC 9110 section 8.8.3.
struct EntityTag: Sendable, Equatable {
    var opaque: String
    var isWeak = false

    /// The strong tag of whatever is told apart by these texts.
    init(of parts: String...) {
        var whole: [UInt8] = []
        for part in parts {
            // A part's length before it keeps ("ab", "c") and ("a", "bc") apart.
            whole += String(part.utf8.count).utf8
            whole.append(UInt8(ascii: ":"))
            whole += part.utf8
        }
        self.init(of: whole)
    }

    /// The strong tag of these bytes.
    init(of bytes: [UInt8]) {
        opaque = EntityTag.text(SHA256.hash(data: bytes))
    }

    /// `"…"` or `W/"…"`; `nil` for anything else.
    init?(_ text: Substring) {
        var rest = text
        isWeak = rest.hasPrefix("W/")
        if isWeak { rest = rest.dropFirst(2) }
        // By bytes: a quotation mark with an accent would be another character.
        let quote = UInt8(ascii: "\"")
        guard rest.utf8.count >= 2, rest.utf8.first == quote, rest.utf8.last == quote else { return nil }
        opaque = String(Substring(rest.utf8.dropFirst().dropLast()))
        guard !opaque.utf8.contains(quote) else { return nil }
    }

    /// 128 bits of the digest.
    private static func text(_ digest: SHA256.Digest) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(32)
        for byte in digest.prefix(16) {
            text.append(hexadecimal(byte >> 4))
            text.append(hexadecimal(byte & 15))
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8 {
        digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }

    var fieldValue: String { (isWeak ? "W/" : "") + "\"\(opaque)\"" }

    func matchesWeakly(_ other: EntityTag) -> Bool { opaque == other.opaque }

    func matchesStrongly(_ other: EntityTag) -> Bool { !isWeak && !other.isWeak && opaque == other.opaque }

    /// Whether a list of tags, or `*`, as in `If-None-Match`, names this one.
    func isListed(in fieldValue: String, by matches: (EntityTag) -> Bool) -> Bool {
        fieldValue.trimmed == "*"
            || FieldList.elements(of: fieldValue).contains { EntityTag($0).map(matches) ?? false }
    }
}
