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
        for part in parts {
            // A part's length before it keeps ("ab", "c") and ("a", "bc") apart.
            whole += String(part.byteCount).utf8
            whole.append(UInt8(ascii: ":"))
            whole += part.utf8
        }
        self.init(of: whole)
    }

    /// The identity of these bytes.
    package init(of bytes: [UInt8]) {
        self.init(sha256: Text(SHA256.hash(data: bytes).description))
    }

    /// The identity of bytes with this SHA-256, in hexadecimal digits.
    init(sha256: Text) {
        digest = Text(decoding: Array(sha256.utf8.prefix(32)))
    }
}
