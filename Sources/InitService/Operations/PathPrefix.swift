public import ByteText
import HTTPTypes
import InitAPI

/// Path at which the service stands behind a proxy: `/weights`.
public struct PathPrefix: Sendable {
    let text: Text

    /// - Returns: `nil` unless the text is segments of unreserved characters, each behind a slash.
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

    /// A request target as if the service stood at the root. A target without the prefix, as a proxy that takes it off
    /// sends it, stays what it is.
    ///
    /// - Returns: `nil` for the prefix itself without a slash, from which relative URLs would lead elsewhere.
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
