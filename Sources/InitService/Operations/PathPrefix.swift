public import ByteText
import HTTPTypes
import InitAPI

/// Path below which a proxy serves the service: `/weights`.
public struct PathPrefix: Sendable {
    let text: Text

    /// - Returns: `nil` unless the text consists of segments of unreserved characters, each after a slash.
    public init?(_ text: Text) {
        let segments = text.split(separator: "/")
        guard text.hasPrefix("/"), segments.count > 1,
            segments.dropFirst().allSatisfy({ segment in
                !segment.isEmpty && segment != "." && segment != ".."
                    && segment.utf8.allSatisfy(PathPrefix.isUnreserved)
            })
        else { return nil }
        self.text = text
    }

    /// RFC 3986, section 2.3.
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        byte.isLetterOrDigit || "-._~".utf8.contains(byte)
    }

    /// The request target without the prefix. A target that does not begin with the prefix stays as it is, because some
    /// proxies remove the prefix themselves.
    ///
    /// - Returns: `nil` for the prefix without a slash after it, against which relative URLs would resolve wrongly.
    func removed(from target: String) -> String? {
        guard target.utf8.starts(with: text.utf8) else { return target }
        let rest = target.utf8.dropFirst(text.byteCount)
        switch rest.first {
        case nil, UInt8(ascii: "?"): return nil
        case UInt8(ascii: "/"): return String(Substring(rest))
        default: return target
        }
    }
}
