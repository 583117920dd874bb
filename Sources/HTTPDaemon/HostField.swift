import Glibc

/// The `Host` field: `uri-host [ ":" port ]` (RFC 9110, section 7.2; RFC 3986, section 3.2.2), which may be empty.
///
/// Stricter than the RFCs, so that no host is misread: no comma, which joins repeated fields, no address of a future IP
/// version, and no port beyond 65535.
enum HostField {
    private typealias Bytes = Slice<UnsafeBufferPointer<UInt8>>

    static func isValid(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
        guard value.first == UInt8(ascii: "[") else {
            let end = value.firstIndex(of: UInt8(ascii: ":")) ?? value.endIndex
            return isName(value[..<end]) && isPort(value[end...])
        }
        guard let end = value.firstIndex(of: UInt8(ascii: "]")) else { return false }
        return isAddress(value[1..<end]) && isPort(value[(end + 1)...])
    }

    /// Unreserved characters, `sub-delims` except the comma, and bytes as `%` and two digits.
    private static func isName(_ name: Bytes) -> Bool {
        var rest = name
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard rest.popFirst().map(isHexadecimal) == true, rest.popFirst().map(isHexadecimal) == true else {
                    return false
                }
            } else if !isLetterOrDigit(byte), !"-._~!$&'()*+;=".utf8.contains(byte) {
                return false
            }
        }
        return true
    }

    /// An IPv6 address.
    private static func isAddress(_ text: Bytes) -> Bool {
        guard text.allSatisfy({ isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }) else {
            return false
        }
        var address = in6_addr()
        return inet_pton(AF_INET6, String(decoding: text, as: UTF8.self), &address) == 1
    }

    /// Nothing, or a colon and the digits of a port. The digits may be missing.
    private static func isPort(_ text: Bytes) -> Bool {
        guard let colon = text.first else { return true }
        let digits = text.dropFirst()
        guard colon == UInt8(ascii: ":"), digits.count <= 5, digits.allSatisfy(isDigit) else { return false }
        return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } <= 65535
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
}
