internal import ByteText

/// Elements that a request spells out: their bytes, little-endian and row-major.
struct Literal: Sendable, Equatable {
    let bytes: [UInt8]

    /// Decodes base64 with its padding (RFC 4648, section 4).
    ///
    /// - Parameter byteCount: The bytes that there have to be.
    /// - Throws: `invalid` for another alphabet or a broken group, `refused` for another size.
    init(base64 text: Text, byteCount: Int) throws(InitError) {
        guard Literal.base64Size(text) == byteCount else {
            throw .refused("base64", Literal.sizes(Literal.base64Size(text), byteCount))
        }
        do {
            bytes = try Literal.decode(text)
        } catch {
            throw error.under("base64")
        }
    }

    /// Inflates a zlib stream (RFC 1950) that is in base64.
    ///
    /// - Parameter byteCount: The bytes that have to come out; no more are ever made.
    /// - Throws: `invalid` for broken base64 or a broken stream, `refused` for another size.
    init(zlib text: Text, byteCount: Int) throws(InitError) {
        do {
            bytes = try Inflater.inflate(zlib: try Literal.decode(text), byteCount: byteCount)
        } catch {
            throw error.under("zlib")
        }
    }

    static func sizes(_ given: Int, _ wanted: Int) -> String {
        "holds \(given) bytes; the shape and the dtype take \(wanted)"
    }

    /// Bytes that a base64 text of this length stands for.
    private static func base64Size(_ text: Text) -> Int {
        text.utf8.count / 4 * 3 - text.utf8.suffix(2).count { $0 == UInt8(ascii: "=") }
    }

    private static func decode(_ text: Text) throws(InitError) -> [UInt8] {
        let characters = Array(text.utf8)
        guard characters.count % 4 == 0 else {
            throw InitError(.invalid, [], "is not base64: \(characters.count) characters are no groups of 4")
        }
        let padding = characters.suffix(2).count { $0 == UInt8(ascii: "=") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 4 * 3)
        var group: UInt32 = 0
        for (index, character) in characters.enumerated() {
            let isPadding = index >= characters.count - padding
            guard let digit = isPadding && character == UInt8(ascii: "=") ? 0 : digit(character) else {
                throw InitError(.invalid, [], "is not base64: the character at \(index) is none of its digits")
            }
            group = group << 6 | digit
            if index % 4 == 3 {
                bytes.append(UInt8(truncatingIfNeeded: group >> 16))
                bytes.append(UInt8(truncatingIfNeeded: group >> 8))
                bytes.append(UInt8(truncatingIfNeeded: group))
                group = 0
            }
        }
        bytes.removeLast(min(padding, bytes.count))
        return bytes
    }

    private static func digit(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character) - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character) - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character) + 4
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
