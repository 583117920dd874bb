/// MT19937 (Matsumoto and Nishimura 1998), seeded as `std::mt19937` and PyTorch seed it, one word after the other.
///
/// The reference that faster generators are tested against.
public struct ScalarGenerator: Sendable {
    static let stateWords = 624

    private var state: [UInt32]
    /// Number of words of the current block that have been drawn.
    private var used = ScalarGenerator.stateWords

    public init(seed: UInt32) {
        state = [seed]
        state.reserveCapacity(ScalarGenerator.stateWords)
        for index in 1..<ScalarGenerator.stateWords {
            let last = state[index - 1]
            state.append(1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(index))
        }
    }

    /// The next 32-bit word.
    public mutating func next() -> UInt32 {
        if used == ScalarGenerator.stateWords { regenerate() }
        var word = state[used]
        used += 1
        word ^= word >> 11
        word ^= (word << 7) & 0x9d2c_5680
        word ^= (word << 15) & 0xefc6_0000
        word ^= word >> 18
        return word
    }

    private mutating func regenerate() {
        let count = ScalarGenerator.stateWords
        for index in 0..<count {
            let following = state[(index + 1) % count]
            let joined = (state[index] & 0x8000_0000) | (following & 0x7fff_ffff)
            state[index] =
                state[(index + 397) % count] ^ (joined >> 1) ^ (following & 1 == 0 ? 0 : 0x9908_b0df)
        }
        used = 0
    }
}

extension ScalarGenerator {
    /// A float32 in [0, 1): the low 24 bits of one word.
    public mutating func u24() -> Float {
        Float(next() & 0xff_ffff) * 0x1p-24
    }

    /// A float64 in [0, 1): the low 53 bits of two words; the first word is the high half.
    public mutating func u53() -> Double {
        let high = UInt64(next())
        let low = UInt64(next())
        return ScalarGenerator.u53(high: high, low: low)
    }

    static func u53(high: UInt64, low: UInt64) -> Double {
        Double((high << 32 | low) & (1 << 53 - 1)) * 0x1p-53
    }
}
