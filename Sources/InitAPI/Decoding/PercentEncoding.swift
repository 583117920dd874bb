package import ByteText

/// Percent-encoding, RFC 3986 section 2.1.
package enum PercentEncoding {
    /// - Throws: `Fault` for a malformed escape, for NUL, and for bytes that are not UTF-8.
    ///
    /// - Parameter text: ASCII.
    package static func decode(_ text: Span<UInt8>, plusIsSpace: Bool) throws(Fault) -> Text {
        var isPlain = true
        for index in text.indices where special.contains(text[index]) { isPlain = false }
        guard !isPlain else { return Text(decoding: text) }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var index = 0
        func hexadecimalValue(at index: Int) -> UInt8? {
            index < text.count ? Unicode.Scalar(text[index]).hexadecimalValue : nil
        }
        while index < text.count {
            let byte = text[index]
            index += 1
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = hexadecimalValue(at: index), let low = hexadecimalValue(at: index + 1) else {
                    throw .badEscape
                }
                index += 2
                decoded.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace:
                decoded.append(UInt8(ascii: " "))
            default:
                decoded.append(byte)
            }
        }
        guard !decoded.contains(0) else { throw .nul }
        guard let text = Text(validating: decoded) else { throw .notUTF8 }
        return text
    }

    package enum Fault: Error {
        case badEscape
        case nul
        case notUTF8

        package var detail: String {
            switch self {
            case .badEscape: "% must be followed by two hexadecimal digits"
            case .nul: "a NUL byte is not allowed"
            case .notUTF8: "the decoded bytes are not UTF-8"
            }
        }
    }

    /// The characters that decoding changes or refuses.
    private static let special = ASCIISet("%+\0")

    private static let digits = Array("0123456789ABCDEF".utf8)

    /// The characters that stand for themselves.
    private static let plain = ASCIISet(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,:/*"
    )

    /// Encodes a name or a value of a query. Unreserved characters stay as they are. So do `,` `:` `/` and `*`, which a
    /// query may hold and which have no meaning here, so that `64,3,7,7` stays readable.
    static func encodeQueryComponent(_ text: Text) -> Text {
        encode(text, besides: plain)
    }

    /// Appends a name or a value of a query, encoded.
    static func appendQueryComponent(_ text: Text, to encoded: inout [UInt8]) {
        append(text, besides: plain, to: &encoded)
    }

    /// The characters that stand for themselves in an extended parameter of a header field (RFC 8187, `attr-char`).
    private static let attribute = ASCIISet(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`|~"
    )

    /// Encodes the value of an extended parameter of a header field, such as `filename*`.
    package static func encodeAttribute(_ text: Text) -> Text {
        encode(text, besides: attribute)
    }

    private static func encode(_ text: Text, besides plain: ASCIISet) -> Text {
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.byteCount)
        append(text, besides: plain, to: &encoded)
        return Text(decoding: encoded.span)
    }

    private static func append(_ text: Text, besides plain: ASCIISet, to encoded: inout [UInt8]) {
        let utf8 = text.utf8
        let bytes = utf8.span
        for index in bytes.indices {
            let byte = bytes[index]
            if plain.contains(byte) {
                encoded.append(byte)
            } else {
                encoded.append(UInt8(ascii: "%"))
                encoded.append(digits[Int(byte >> 4)])
                encoded.append(digits[Int(byte & 15)])
            }
        }
    }
}
