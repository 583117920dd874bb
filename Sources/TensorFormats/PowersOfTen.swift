/// The leading bits of powers of ten, rounded up, with which the shortest decimal is found.
///
/// For each exponent e, with r = ⌊log₂ 10ᵉ⌋, `wide` has ⌈10ᵉ · 2^(127 − r)⌉ and `narrow` ⌈10ᵉ · 2^(63 − r)⌉. They are
/// computed once, in exact integer arithmetic.
struct PowersOfTen: Sendable {
    static let shared = PowersOfTen()

    /// Exponents that float64 needs.
    static let wideExponents = -292...324
    /// Exponents that the smaller types need.
    static let narrowExponents = -40...48

    let wide: [UInt128]
    let narrow: [UInt64]

    private init() {
        var wide: [UInt128] = []
        // Dividing 2^1280 by 10 n times, rounding down each time, gives the same as rounding 2^1280 / 10^n down once.
        // The quotient has at least 310 bits, which are enough.
        var quotient = [UInt64](repeating: 0, count: 20) + [1]
        for _ in Self.wideExponents.lowerBound..<0 {
            var remainder: UInt64 = 0
            for index in quotient.indices.reversed() {
                (quotient[index], remainder) = UInt64(10).dividingFullWidth((remainder, quotient[index]))
            }
            // No power of two is a multiple of ten, so a remainder was always cut off.
            wide.append(Self.leadingBits(of: quotient) &+ 1)
        }
        wide.reverse()
        var power: [UInt64] = [1]
        for _ in 0...Self.wideExponents.upperBound {
            wide.append(Self.leadingBits(of: power) &+ (Self.bitsPastLeading(of: power) ? 1 : 0))
            var carry: UInt64 = 0
            for index in power.indices {
                let (high, low) = power[index].multipliedFullWidth(by: 10)
                let (sum, overflow) = low.addingReportingOverflow(carry)
                power[index] = sum
                carry = high &+ (overflow ? 1 : 0)
            }
            if carry > 0 { power.append(carry) }
        }
        self.wide = wide
        narrow = Self.narrowExponents.map { exponent in
            let bits = wide[exponent - Self.wideExponents.lowerBound]
            return UInt64(truncatingIfNeeded: bits >> 64) &+ (UInt64(truncatingIfNeeded: bits) == 0 ? 0 : 1)
        }
    }

    /// The 128 bits from the highest set bit on, of a number whose digits are `limbs`, the least significant first.
    private static func leadingBits(of limbs: [UInt64]) -> UInt128 {
        let bitCount = bitCount(of: limbs)
        var result: UInt128 = 0
        for offset in 1...128 {
            let position = bitCount - offset
            result = result << 1 | (position >= 0 ? UInt128(limbs[position / 64] >> UInt64(position % 64) & 1) : 0)
        }
        return result
    }

    private static func bitsPastLeading(of limbs: [UInt64]) -> Bool {
        let rest = bitCount(of: limbs) - 128
        guard let lowest = limbs.firstIndex(where: { $0 != 0 }) else { return false }
        return lowest * 64 + limbs[lowest].trailingZeroBitCount < rest
    }

    private static func bitCount(of limbs: [UInt64]) -> Int {
        guard let highest = limbs.lastIndex(where: { $0 != 0 }) else { return 0 }
        return highest * 64 + 64 - limbs[highest].leadingZeroBitCount
    }
}
