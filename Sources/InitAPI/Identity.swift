package import ByteText
internal import SHA2

/// A digest of everything that decides the bytes of an answer: two answers of the same identity have the same bytes on
/// every host.
package struct Identity: Sendable, Equatable {
    /// 128 bits of a SHA-256 in hexadecimal digits.
    package let digest: Text

    /// The identity of an answer that these texts tell apart from all others.
    package init(of parts: Text...) {
        var whole: [UInt8] = []
        whole.reserveCapacity(parts.reduce(0) { $0 + $1.byteCount + Self.longestCount })
        for part in parts {
            // A part's length before it keeps ("ab", "c") and ("a", "bc") apart.
            Text(part.byteCount).append(to: &whole)
            whole.append(UInt8(ascii: ":"))
            part.append(to: &whole)
        }
        self.init(of: whole)
    }

    /// Digits of the largest integer, and the colon.
    private static let longestCount = 20

    private static let digestBytes = 16

    /// The identity of these bytes.
    package init(of bytes: [UInt8]) {
        var hash = SHA256()
        hash.update(span: bytes.span.bytes)
        digest = Text(hash.finalize().hexadecimal(byteCount: Self.digestBytes))
    }

    /// The identity of bytes with this SHA-256, in hexadecimal digits.
    init(sha256: Text) {
        digest = Text(decoding: Array(sha256.utf8.prefix(2 * Self.digestBytes)))
    }
}
