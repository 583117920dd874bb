/// How numbers are written in JSON: in the fewest digits that read back as the same element.
///
/// "Read back" means rounding the decimal to the element's own type. Of several decimals of that length it is the nearest
/// to the number. Magnitudes from 10^−4 to below 10^16 are written out with a point (`0.001`, `1.0`, `16777216.0`), all
/// others with an exponent of at least two digits (`1e-05`, `6.02e+23`): the form of Python's `repr`. Zero keeps its sign
/// (`-0.0`). What JSON has no number for is one of the strings `"inf"`, `"-inf"`, `"nan"`. Integers have no point.
enum NumberText {
    /// Bytes that a writer may touch from where it begins; a text has at most 24.
    static let room = 40

    static let largestNarrowDigitCount = 9
    static let wideDigitCount = 17

    /// Writes `digits` · 10^`exponent`, where there are at most nine digits.
    ///
    /// - Returns: Where the text ends.
    @inline(__always)
    static func write(narrow decimal: ShortestDecimal, into out: inout MutableRawSpan, at start: Int) -> Int {
        // Brought to nine digits, so that the first has a fixed place.
        let digitCount = Self.digitCount(decimal.digits)
        let digits = decimal.digits &* powersOfTen[9 &- digitCount]
        let scale = decimal.exponent &+ digitCount &- 1
        let first = digits / 100_000_000
        let rest = digits &- first &* 100_000_000
        // Outside these the eight digits do not reach the point; the wide form takes any scale.
        guard (-4...7).contains(scale) else {
            return write(digits: digits &* 100_000_000, scale: scale, into: &out, at: start)
        }
        let tail = eightDigits(rest)
        let significant = 8 &- tail.leadingZeroBitCount / 8
        let characters = tail | 0x3030_3030_3030_3030
        let layout = FixedLayout(scale: scale)
        out.storeBytes(of: FixedLayout.leadingZeros, toByteOffset: start, as: UInt64.self)
        let firstCharacter = UInt8(truncatingIfNeeded: first) &+ 0x30
        out.storeBytes(of: firstCharacter, toByteOffset: start &+ layout.first, as: UInt8.self)
        out.storeBytes(of: characters, toByteOffset: start &+ layout.first &+ 1, as: UInt64.self)
        out.storeBytes(of: UInt8(ascii: "."), toByteOffset: start &+ layout.point, as: UInt8.self)
        out.storeBytes(
            of: characters >> UInt64(8 &* layout.whole),
            toByteOffset: start &+ layout.fraction,
            as: UInt64.self
        )
        return start &+ layout.fraction &+ max(significant &- layout.whole, layout.leastFraction)
    }

    /// Writes any number of at most 17 digits.
    @inline(__always)
    static func write(wide decimal: ShortestDecimal, into out: inout MutableRawSpan, at start: Int) -> Int {
        let digitCount = Self.digitCount(decimal.digits)
        return write(
            digits: decimal.digits &* powersOfTen[wideDigitCount &- digitCount],
            scale: decimal.exponent &+ digitCount &- 1,
            into: &out,
            at: start
        )
    }

    /// Writes 17 digits, of which the first is not 0 and stands for units of 10^`scale`.
    @inline(never)
    private static func write(digits: UInt64, scale: Int, into out: inout MutableRawSpan, at start: Int) -> Int {
        let first = digits / 10_000_000_000_000_000
        let rest = digits &- first &* 10_000_000_000_000_000
        let upper = rest / 100_000_000
        let tail = UInt128(eightDigits(rest &- upper &* 100_000_000)) << 64 | UInt128(eightDigits(upper))
        let significant = 16 &- tail.leadingZeroBitCount / 8
        let characters = tail | 0x3030_3030_3030_3030_3030_3030_3030_3030
        let firstCharacter = UInt8(truncatingIfNeeded: first) &+ 0x30
        if (-4...15).contains(scale) {
            let layout = FixedLayout(scale: scale)
            out.storeBytes(of: FixedLayout.leadingZeros, toByteOffset: start, as: UInt64.self)
            out.storeBytes(of: firstCharacter, toByteOffset: start &+ layout.first, as: UInt8.self)
            out.storeBytes(of: characters, toByteOffset: start &+ layout.first &+ 1, as: UInt128.self)
            out.storeBytes(of: UInt8(ascii: "."), toByteOffset: start &+ layout.point, as: UInt8.self)
            out.storeBytes(
                of: characters >> UInt128(8 &* layout.whole),
                toByteOffset: start &+ layout.fraction,
                as: UInt128.self
            )
            return start &+ layout.fraction &+ max(significant &- layout.whole, layout.leastFraction)
        }
        out.storeBytes(of: firstCharacter, toByteOffset: start, as: UInt8.self)
        out.storeBytes(of: UInt8(ascii: "."), toByteOffset: start &+ 1, as: UInt8.self)
        out.storeBytes(of: characters, toByteOffset: start &+ 2, as: UInt128.self)
        var end = start &+ (significant == 0 ? 1 : 2 &+ significant)
        let exponent = UInt64(scale.magnitude)
        let sign = scale < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+")
        out.storeBytes(of: UInt8(ascii: "e"), toByteOffset: end, as: UInt8.self)
        out.storeBytes(of: sign, toByteOffset: end &+ 1, as: UInt8.self)
        end &+= 2
        // The last two or three of eight digits.
        let exponentLength = exponent < 100 ? 2 : 3
        let exponentCharacters = (eightDigits(exponent) | 0x3030_3030_3030_3030) >> UInt64(8 &* (8 &- exponentLength))
        out.storeBytes(of: exponentCharacters, toByteOffset: end, as: UInt64.self)
        return end &+ exponentLength
    }

    /// Zero, infinity and NaN, whose sign has been written where it shows.
    @inline(never)
    static func writeSpecial(
        isZero: Bool,
        isInfinite: Bool,
        isNegative: Bool,
        into out: inout MutableRawSpan,
        at start: Int
    ) -> Int {
        let text: StaticString =
            if isZero {
                isNegative ? "-0.0" : "0.0"
            } else if isInfinite {
                isNegative ? #""-inf""# : #""inf""#
            } else {
                #""nan""#
            }
        return text.withUTF8Buffer { characters in
            for (offset, character) in characters.enumerated() {
                out.storeBytes(of: character, toByteOffset: start + offset, as: UInt8.self)
            }
            return start + characters.count
        }
    }

    /// Where the parts of a number without exponent go, in bytes from its start.
    private struct FixedLayout {
        /// `0.000000` from the first byte on.
        static let leadingZeros: UInt64 = 0x3030_3030_3030_2e30

        /// Digits before the point besides the first.
        var whole: Int
        /// Where the first digit goes, and all others behind it.
        var first: Int
        var point: Int
        /// Where the digits behind the point go, once more.
        var fraction: Int
        /// Digits behind the point at least, of those that go there.
        var leastFraction: Int

        @inline(__always)
        init(scale: Int) {
            let isBelowOne = scale < 0 ? 1 : 0
            whole = scale & (isBelowOne &- 1)
            first = (1 &- scale) & (0 &- isBelowOne)
            point = whole &+ 1
            fraction = max(first &+ 1, whole &+ 2 &- isBelowOne)
            leastFraction = 1 &- isBelowOne
        }
    }

    @inline(__always)
    private static func digitCount(_ value: UInt64) -> Int {
        // log₁₀ 2 from above: one too many at most, below the power of ten.
        let estimate = ((64 &- value.leadingZeroBitCount) &* 1233) >> 12
        return estimate &+ (value >= powersOfTen[estimate] ? 1 : 0)
    }

    private static let powersOfTen: InlineArray<18, UInt64> = [
        1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000,
        100_000_000_000, 1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000, 1_000_000_000_000_000,
        10_000_000_000_000_000, 100_000_000_000_000_000,
    ]

    /// The eight digits of a number below 10^8, one in each byte, the first in the lowest.
    @inline(__always)
    private static func eightDigits(_ value: UInt64) -> UInt64 {
        // Split in halves, all at once from the second step on; the factors divide exactly for as many digits as there are.
        let upper = value / 10_000
        let fours = upper | (value &- upper &* 10_000) << 32
        let hundreds = (fours &* 10_486) >> 20 & 0x0000_007f_0000_007f
        let twos = hundreds | (fours &- hundreds &* 100) << 16
        let tens = (twos &* 103) >> 10 & 0x000f_000f_000f_000f
        return tens | (twos &- tens &* 10) << 8
    }
}
