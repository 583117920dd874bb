/// The shortest decimal that rounds to a binary number, and the nearest one among those of the same length.
///
/// This is Schubfach: of the multiples of the largest power of ten that fits into the interval of everything that
/// rounds to the number, at least one and at most ten lie in the interval; of the multiples of the next larger power,
/// at most one does. Products with powers of ten are cut to two bits behind the point. The last bit is set if anything
/// else was cut off, so that every comparison with the interval's ends stays correct.
///
/// Source: Raffaello Giulietti, "The Schubfach way to render doubles", 2021.
struct ShortestDecimal {
    /// Digits as an integer, which may end in zeros.
    var digits: UInt64
    /// The number is `digits` · 10^`exponent`.
    var exponent: Int

    /// The decimal of `significand` · 2^`exponent`, for a significand of at most 53 bits and the exponents of float64.
    ///
    /// - Parameter isLowerCloser: `true` if the next number towards zero is half as far away as the next number away
    ///   from zero.
    init(_ significand: UInt64, exponent: Int, isLowerCloser: Bool, powers: [UInt128]) {
        let scale = WideScale(exponent, isLowerCloser: isLowerCloser, powers: powers)
        self.exponent = scale.decimalExponent
        let middle = scale.quarters(4 &* significand)
        // The ends themselves round to the number if its significand is even.
        let isOdd = significand & 1
        let lower = scale.quarters(4 &* significand &- (isLowerCloser ? 1 : 2)) &+ isOdd
        let upper = scale.quarters(4 &* significand &+ 2) &- isOdd

        let floor = middle / 4
        let tens = floor / 10
        let isLowTenIn = lower <= 40 &* tens
        let isHighTenIn = 40 &* tens &+ 40 <= upper
        if floor >= 10, isLowTenIn != isHighTenIn {
            digits = 10 &* (tens &+ (isHighTenIn ? 1 : 0))
            return
        }
        let isLowIn = lower <= 4 &* floor
        let isHighIn = 4 &* floor &+ 4 <= upper
        digits = isLowIn == isHighIn ? nearest(middle) : floor &+ (isHighIn ? 1 : 0)
    }

    /// The same for a number with equally distant neighbours, a significand of 7 to 24 bits and the exponents of
    /// float32.
    @inline(__always)
    init(regular significand: UInt32, exponent: Int, powers: [UInt64]) {
        let scale = NarrowScale(exponent, powers: powers)
        self.exponent = scale.decimalExponent
        digits = UInt64(
            shortest(
                scale.quarters(4 &* significand),
                from: scale.quarters(4 &* significand &- 2) &+ (significand & 1),
                through: scale.quarters(4 &* significand &+ 2) &- (significand & 1)
            )
        )
    }

    /// The same for a significand of 7 to 53 bits and the exponents of float64.
    @inline(__always)
    init(regular significand: UInt64, exponent: Int, powers: [UInt128]) {
        let scale = WideScale(exponent, isLowerCloser: false, powers: powers)
        self.exponent = scale.decimalExponent
        digits = shortest(
            scale.quarters(4 &* significand),
            from: scale.quarters(4 &* significand &- 2) &+ (significand & 1),
            through: scale.quarters(4 &* significand &+ 2) &- (significand & 1)
        )
    }
}

/// Picks the digits for a number with equally distant neighbours. The interval reaches at least half a unit to either
/// side, so that the nearest whole number is in it. The choice is unpredictable, so it is made by arithmetic and not by
/// branches.
///
/// All parameters are in quarters.
@inline(__always)
private func shortest<Word: FixedWidthInteger & UnsignedInteger>(
    _ middle: Word,
    from lower: Word,
    through upper: Word
) -> Word {
    let tens = middle / 40
    let isLowTenIn: Word = lower <= 40 &* tens ? 1 : 0
    let isHighTenIn: Word = 40 &* tens &+ 40 <= upper ? 1 : 0
    let ten = 10 &* (tens &+ isHighTenIn)
    let one = nearest(middle)
    return one ^ ((one ^ ten) & (0 &- (isLowTenIn | isHighTenIn)))
}

/// Rounds quarters to the nearest whole number, halves to the even one.
@inline(__always)
private func nearest<Word: FixedWidthInteger & UnsignedInteger>(_ quarters: Word) -> Word {
    (quarters &+ 1 &+ (quarters &>> 2 & 1)) &>> 2
}

/// Factors from multiples of a power of two to multiples of the power of ten just below it.
private struct NarrowScale {
    var decimalExponent: Int
    private var factor: UInt64
    private var shift: UInt64

    @inline(__always)
    init(_ exponent: Int, powers: [UInt64]) {
        decimalExponent = floorLog10(twoTo: exponent, isLowerCloser: false)
        factor = powers[-decimalExponent &- PowersOfTen.narrowExponents.lowerBound]
        shift = UInt64(truncatingIfNeeded: exponent &+ floorLog2(tenTo: -decimalExponent) &+ 1)
    }

    @inline(__always)
    func quarters(_ significand: UInt32) -> UInt32 {
        let (high, low) = factor.multipliedFullWidth(by: UInt64(significand) &<< shift)
        // The factor is rounded up: the lowest 33 bits can come from the rounding alone.
        return UInt32(truncatingIfNeeded: high) | (low &>> 33 != 0 ? 1 : 0)
    }
}

private struct WideScale {
    var decimalExponent: Int
    private var high: UInt64
    private var low: UInt64
    private var shift: UInt64

    @inline(__always)
    init(_ exponent: Int, isLowerCloser: Bool, powers: [UInt128]) {
        decimalExponent = floorLog10(twoTo: exponent, isLowerCloser: isLowerCloser)
        let factor = powers[-decimalExponent &- PowersOfTen.wideExponents.lowerBound]
        high = UInt64(truncatingIfNeeded: factor &>> 64)
        low = UInt64(truncatingIfNeeded: factor)
        shift = UInt64(truncatingIfNeeded: exponent &+ floorLog2(tenTo: -decimalExponent) &+ 1)
    }

    @inline(__always)
    func quarters(_ significand: UInt64) -> UInt64 {
        let multiplier = significand &<< shift
        let carry = low.multipliedFullWidth(by: multiplier).high
        let (whole, part) = high.multipliedFullWidth(by: multiplier)
        let (fraction, overflow) = part.addingReportingOverflow(carry)
        return (whole &+ (overflow ? 1 : 0)) | (fraction > 1 ? 1 : 0)
    }
}

/// ⌊log₁₀ 2^`exponent`⌋, or ⌊log₁₀ (¾ · 2^`exponent`)⌋: correct for −1500 … 1500.
@inline(__always)
private func floorLog10(twoTo exponent: Int, isLowerCloser: Bool) -> Int {
    (exponent &* 1_262_611 &- (isLowerCloser ? 524_031 : 0)) &>> 22
}

/// ⌊log₂ 10^`exponent`⌋: correct for −1233 … 1233.
@inline(__always)
private func floorLog2(tenTo exponent: Int) -> Int {
    (exponent &* 1_741_647) &>> 19
}
