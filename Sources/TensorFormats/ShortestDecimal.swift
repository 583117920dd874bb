/// The shortest decimal that rounds to a binary number, and among those of its length the nearest.
///
/// This is Schubfach: of the multiples of the largest power of ten that fits into the interval of everything that rounds to
/// the number, at least one and at most ten lie in the interval, and at most one of the next larger power. Products with
/// powers of ten are cut to a few bits more than the number has, and an odd last bit stands for what was cut off, which
/// leaves every comparison with the interval's ends right. The selection at the end is arithmetic, not branches: which way
/// it goes is as good as random.
///
/// Source: Raffaello Giulietti, "The Schubfach way to render doubles", 2021.
struct ShortestDecimal {
    /// May end in zeros.
    var digits: UInt64
    /// The number is `digits` · 10^`exponent`.
    var exponent: Int

    /// For `significand` · 2^`exponent`, of at most 24 bits and a float32's exponents.
    ///
    /// - Parameter isLowerCloser: 1 where the next number towards zero is half as far as the one away from it, otherwise 0.
    @inline(__always)
    init(significand: UInt32, exponent: Int, isLowerCloser: UInt32, powers: [UInt64]) {
        let power = decimalExponent(exponent, isLowerCloser: Int(isLowerCloser))
        let factor = powers[-power - PowersOfTen.narrowExponents.lowerBound]
        let shift = UInt32(truncatingIfNeeded: exponent + floorLog2(tenTo: -power) + 1)

        /// The product in units of a quarter of 10^power.
        @inline(__always) func scaled(_ quarters: UInt32) -> UInt32 {
            let (high, low) = factor.multipliedFullWidth(by: UInt64(quarters << shift))
            return UInt32(truncatingIfNeeded: high) | (low >> 33 != 0 ? 1 : 0)
        }
        let middle = scaled(4 &* significand)
        // The ends themselves round to the number where its significand is even.
        let isOdd = significand & 1
        let lower = scaled(4 &* significand &- 2 &+ isLowerCloser) &+ isOdd
        let upper = scaled(4 &* significand &+ 2) &- isOdd

        let floor = middle >> 2
        let tens = floor / 10
        let isLowTenIn: UInt32 = lower <= 40 &* tens ? 1 : 0
        let isHighTenIn: UInt32 = 40 &* tens &+ 40 <= upper ? 1 : 0
        let isTen = (isLowTenIn ^ isHighTenIn) & (floor >= 10 ? 1 : 0)

        let isLowIn: UInt32 = lower <= 4 &* floor ? 1 : 0
        let isHighIn: UInt32 = 4 &* floor &+ 4 <= upper ? 1 : 0
        // In fours: over a half, or at a half and odd.
        let isNearerHigh: UInt32 = (middle & 3) &+ (floor & 1) > 2 ? 1 : 0
        let isOnlyOneIn = isLowIn ^ isHighIn
        let one = floor &+ (isOnlyOneIn & isHighIn | (isOnlyOneIn ^ 1) & isNearerHigh)
        let ten = 10 &* (tens &+ isHighTenIn)
        digits = UInt64(one ^ ((one ^ ten) & (0 &- isTen)))
        self.exponent = power
    }

    /// The same for at most 53 bits and a float64's exponents.
    @inline(__always)
    init(significand: UInt64, exponent: Int, isLowerCloser: UInt64, powers: [UInt128]) {
        let power = decimalExponent(exponent, isLowerCloser: Int(isLowerCloser))
        let factor = powers[-power - PowersOfTen.wideExponents.lowerBound]
        let factorHigh = UInt64(truncatingIfNeeded: factor >> 64)
        let factorLow = UInt64(truncatingIfNeeded: factor)
        let shift = UInt64(truncatingIfNeeded: exponent + floorLog2(tenTo: -power) + 1)

        @inline(__always) func scaled(_ quarters: UInt64) -> UInt64 {
            let multiplier = quarters << shift
            let carry = factorLow.multipliedFullWidth(by: multiplier).high
            let (high, low) = factorHigh.multipliedFullWidth(by: multiplier)
            let (fraction, overflow) = low.addingReportingOverflow(carry)
            return (high &+ (overflow ? 1 : 0)) | (fraction > 1 ? 1 : 0)
        }
        let middle = scaled(4 &* significand)
        let isOdd = significand & 1
        let lower = scaled(4 &* significand &- 2 &+ isLowerCloser) &+ isOdd
        let upper = scaled(4 &* significand &+ 2) &- isOdd

        let floor = middle >> 2
        let tens = floor / 10
        let isLowTenIn: UInt64 = lower <= 40 &* tens ? 1 : 0
        let isHighTenIn: UInt64 = 40 &* tens &+ 40 <= upper ? 1 : 0
        let isTen = (isLowTenIn ^ isHighTenIn) & (floor >= 10 ? 1 : 0)

        let isLowIn: UInt64 = lower <= 4 &* floor ? 1 : 0
        let isHighIn: UInt64 = 4 &* floor &+ 4 <= upper ? 1 : 0
        let isNearerHigh: UInt64 = (middle & 3) &+ (floor & 1) > 2 ? 1 : 0
        let isOnlyOneIn = isLowIn ^ isHighIn
        let one = floor &+ (isOnlyOneIn & isHighIn | (isOnlyOneIn ^ 1) & isNearerHigh)
        let ten = 10 &* (tens &+ isHighTenIn)
        digits = one ^ ((one ^ ten) & (0 &- isTen))
        self.exponent = power
    }
}

/// ⌊log₁₀ 2^`exponent`⌋, or ⌊log₁₀ (¾ · 2^`exponent`)⌋: right for −1500 … 1500.
@inline(__always)
private func decimalExponent(_ exponent: Int, isLowerCloser: Int) -> Int {
    (exponent &* 1_262_611 &- 524_031 &* isLowerCloser) >> 22
}

/// ⌊log₂ 10^`exponent`⌋: right for −1233 … 1233.
@inline(__always)
private func floorLog2(tenTo exponent: Int) -> Int {
    (exponent &* 1_741_647) >> 19
}
