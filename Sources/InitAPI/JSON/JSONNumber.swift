internal import ByteText

/// The grammar of numbers, RFC 8259 section 6; the numbers of a query follow it, too.
enum JSONNumber {
    /// End of the longest number that starts at `start`; `nil` if there is none.
    static func end(in bytes: [UInt8], from start: Int) -> Int? {
        var position = start
        func digits() -> Bool {
            let first = position
            while position < bytes.count, bytes[position].isDigit { position += 1 }
            return position > first
        }
        func next(_ accepted: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: accepted) else { return false }
            position += 1
            return true
        }

        _ = next("-")
        if !next("0"), !digits() { return nil }
        if next("."), !digits() { return nil }
        if next("e") || next("E") {
            _ = next("+") || next("-")
            if !digits() { return nil }
        }
        return position
    }

    static func isWellFormed(_ text: Text) -> Bool {
        let bytes = Array(text.utf8)
        return end(in: bytes, from: 0) == bytes.count
    }

    /// `true` for a well-formed number without fraction and exponent.
    static func isInteger(_ text: Text) -> Bool {
        let utf8 = text.utf8
        let bytes = utf8.span
        let first = !bytes.isEmpty && bytes[0] == UInt8(ascii: "-") ? 1 : 0
        guard first < bytes.count else { return false }
        for index in first..<bytes.count where !bytes[index].isDigit { return false }
        return bytes[first] != UInt8(ascii: "0") || bytes.count == first + 1
    }
}

extension UInt8 {
    package var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    /// `true` for the letters and digits of ASCII.
    package var isLetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default:
            false
        }
    }
}

extension Unicode.Scalar {
    package var hexadecimalValue: UInt8? {
        switch self {
        case "0"..."9": UInt8(value - 0x30)
        case "a"..."f": UInt8(value - 0x61 + 10)
        case "A"..."F": UInt8(value - 0x41 + 10)
        default: nil
        }
    }
}
