internal import ByteText

/// Elements that a request contains: their bytes, little-endian and row-major.
struct Literal: Sendable, Equatable {
    let bytes: [UInt8]

    /// Decodes base64 with its padding (RFC 4648, section 4).
    ///
    /// - Parameter byteCount: Required number of bytes.
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

    /// Decompresses a zlib stream (RFC 1950) that is in base64.
    ///
    /// - Parameter byteCount: Required number of decompressed bytes; no more bytes are ever made.
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

    /// Number of bytes that a base64 text of this length stands for.
    private static func base64Size(_ text: Text) -> Int {
        text.utf8.count / 4 * 3 - text.utf8.suffix(2).count { $0 == UInt8(ascii: "=") }
    }

    private static func decode(_ text: Text) throws(InitError) -> [UInt8] {
        var characters = Array(text.utf8)
        guard characters.count % 4 == 0 else {
            throw InitError(.invalid, [], "is not base64: the length \(characters.count) is not a multiple of 4")
        }
        let padding = characters.suffix(2).count { $0 == UInt8(ascii: "=") }
        for index in (characters.count - padding)..<characters.count where characters[index] == UInt8(ascii: "=") {
            characters[index] = UInt8(ascii: "A")
        }
        let digits = Self.digits
        var bytes = [UInt8](repeating: 0, count: characters.count / 4 * 3)
        // Checked once, after the loop, for speed: texts have megabytes.
        var union: UInt8 = 0
        for group in 0..<characters.count / 4 {
            let first = digits[Int(characters[4 * group])]
            let second = digits[Int(characters[4 * group + 1])]
            let third = digits[Int(characters[4 * group + 2])]
            let fourth = digits[Int(characters[4 * group + 3])]
            union |= first | second | third | fourth
            bytes[3 * group] = first << 2 | second >> 4
            bytes[3 * group + 1] = second << 4 | third >> 2
            bytes[3 * group + 2] = third << 6 | fourth
        }
        guard union < 64 else {
            let index = characters.firstIndex { digits[Int($0)] == noDigit } ?? 0
            throw InitError(.invalid, [], "is not base64: the character at \(index) is not a base64 digit")
        }
        bytes.removeLast(min(padding, bytes.count))
        return bytes
    }

    /// Value of all characters that are not digits.
    private static let noDigit: UInt8 = 0xff

    /// Values of the digits, by their characters.
    private static let digits: [UInt8] = {
        var digits = [UInt8](repeating: noDigit, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for (value, character) in alphabet.utf8.enumerated() { digits[Int(character)] = UInt8(value) }
        return digits
    }()
}
