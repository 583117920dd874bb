/// Percent-encoding, RFC 3986 section 2.1.
enum PercentEncoding {
    /// - Throws: `Fault` for an escape that is none, for NUL, and where the bytes are not UTF-8.
    ///
    /// - Parameter text: ASCII.
    static func decode(_ text: ArraySlice<UInt8>, plusIsSpace: Bool) throws(Fault) -> String {
        guard text.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") || $0 == 0 }) else {
            return String(decoding: text, as: UTF8.self)
        }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap({ Unicode.Scalar($0).hexadecimalValue }),
                    let low = rest.popFirst().flatMap({ Unicode.Scalar($0).hexadecimalValue })
                else {
                    throw .badEscape
                }
                decoded.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace:
                decoded.append(UInt8(ascii: " "))
            default:
                decoded.append(byte)
            }
        }
        guard !decoded.contains(0) else { throw .nul }
        guard let text = String(validating: decoded, as: UTF8.self) else { throw .notUTF8 }
        return text
    }

    enum Fault: Error {
        case badEscape
        case nul
        case notUTF8

        var detail: String {
            switch self {
            case .badEscape: "% must be followed by two hexadecimal digits"
            case .nul: "a NUL byte is not allowed"
            case .notUTF8: "the decoded bytes are not UTF-8"
            }
        }
    }

    /// Encodes a name or a value of a query: all but unreserved characters and those that a query may hold and nothing
    /// here gives a meaning to (`,` `:` `/` `*`), so that `64,3,7,7` stays readable.
    static func encodeQueryComponent(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch Unicode.Scalar(byte) {
            case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_", "~", ",", ":", "/", "*":
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += byte < 0x10 ? "%0" + digits : "%" + digits
            }
        }
        return encoded
    }
}
