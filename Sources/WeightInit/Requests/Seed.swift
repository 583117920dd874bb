public import ByteText

/// A seed as `torch.manual_seed` takes it: an integer from −2^63 to 2^64 − 1.
///
/// Negative seeds stand for their two's complement. Only the low 32 bits reach the generator, as in PyTorch.
public struct Seed: Sendable, Equatable, CustomStringConvertible {
    /// Two's complement of the seed.
    public let bits: UInt64
    public let isNegative: Bool

    public init(_ value: UInt64) {
        bits = value
        isNegative = false
    }

    public init(_ value: Int64) {
        bits = UInt64(bitPattern: value)
        isNegative = value < 0
    }

    /// Reads decimal digits with an optional minus sign; no fraction, no exponent.
    ///
    /// - Throws: `invalid` if the text is not an integer, or is out of range.
    public init(decimal text: Text) throws(InitError) {
        let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
        guard text.utf8.count - digits.count <= 1, !digits.isEmpty,
            digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else {
            throw .invalid("seed", "\(text.quotedForMessage) is not an integer")
        }
        if let value = UInt64(text.description) {
            self.init(value)
        } else if let value = Int64(text.description) {
            self.init(value)
        } else {
            throw .invalid("seed", "is out of range: seeds go from −2^63 to 2^64 − 1")
        }
    }

    /// The bits that the generator is seeded with.
    public var effective: UInt32 { UInt32(truncatingIfNeeded: bits) }

    /// The seed in decimal, with its sign.
    public var description: String {
        isNegative ? String(Int64(bitPattern: bits)) : String(bits)
    }
}
