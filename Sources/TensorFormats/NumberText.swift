/// The text of numbers in JSON: the fewest digits that read back as the same element.
///
/// "Read back" means rounding the decimal to the element's own type. Of several decimals of that length, the nearest to
/// the number is written. Magnitudes from 10^−4 to below 10^16 are written out with a point (`0.001`, `1.0`,
/// `16777216.0`), all others with an exponent of at least two digits (`1e-05`, `6.02e+23`): the form of Python's
/// `repr`. Zero keeps its sign (`-0.0`). Infinities and NaN are the strings `"inf"`, `"-inf"` and `"nan"`. Integers
/// have no point.
///
/// The writers take a pointer, because a check for each of the half dozen stores behind a number costs a tenth of the
/// speed: one check, for `room` bytes, is made before the number instead. Digits are stored eight at a time, which
/// requires a little-endian host.
enum NumberText {
    /// Bytes that must be writable from the start of a number; its text has at most 24.
    static let room = 40

    /// Writes `digits` · 10^`exponent` with a digit count from `least` to `least` + 2, 9 at most.
    ///
    /// - Returns: The end of the text.
    @inline(__always)
    static func write(narrow decimal: ShortestDecimal, least: Int, to out: UnsafeMutableRawPointer)
        -> UnsafeMutableRawPointer
    {
        // Scaled to nine digits, so that the first digit has a fixed place.
        let isLonger = decimal.digits >= powerOfTen(least)
        let isLongest = decimal.digits >= powerOfTen(least &+ 1)
        let factor = isLongest ? powerOfTen(7 &- least) : isLonger ? powerOfTen(8 &- least) : powerOfTen(9 &- least)
        let digits = decimal.digits &* factor
        let scale = decimal.exponent &+ least &- 1 &+ (isLonger ? 1 : 0) &+ (isLongest ? 1 : 0)
        // Other scales need an exponent, or more digits before the point; the wide form takes any scale.
        guard UInt(bitPattern: scale &+ 4) < 12 else {
            return write(digits: digits &* 100_000_000, scale: scale, to: out)
        }
        let (first, tail) = nineDigits(UInt32(truncatingIfNeeded: digits))
        let significant = 8 &- tail.leadingZeroBitCount &>> 3
        let characters = tail | 0x3030_3030_3030_3030
        return write(fixed: first, characters, significant: significant, scale: scale, to: out)
    }

    /// Writes any number of at most 17 digits.
    @inline(__always)
    static func write(_ decimal: ShortestDecimal, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        var digitCount = 1
        while digitCount < 17, decimal.digits >= powerOfTen(digitCount) { digitCount &+= 1 }
        let digits = decimal.digits &* powerOfTen(17 &- digitCount)
        return write(digits: digits, scale: decimal.exponent &+ digitCount &- 1, to: out)
    }

    /// Writes a number of 16 or 17 digits.
    @inline(__always)
    static func write(wide decimal: ShortestDecimal, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        let isLonger = decimal.digits >= powerOfTen(16)
        return write(
            digits: isLonger ? decimal.digits : decimal.digits &* 10,
            scale: decimal.exponent &+ (isLonger ? 16 : 15),
            to: out
        )
    }

    /// Writes 17 digits, of which the first is not 0 and stands for units of 10^`scale`.
    @inline(never)
    private static func write(digits: UInt64, scale: Int, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        let upper = digits / 100_000_000
        let (first, upperTail) = nineDigits(UInt32(truncatingIfNeeded: upper))
        let lowerTail = eightDigits(UInt32(truncatingIfNeeded: digits &- upper &* 100_000_000))
        let tail = UInt128(lowerTail) &<< 64 | UInt128(upperTail)
        let significant = 16 &- tail.leadingZeroBitCount / 8
        let characters = tail | 0x3030_3030_3030_3030_3030_3030_3030_3030
        if (-4...15).contains(scale) {
            return write(fixed: first, characters, significant: significant, scale: scale, to: out)
        }
        out.storeBytes(of: first, as: UInt8.self)
        out.storeBytes(of: UInt8(ascii: "."), toByteOffset: 1, as: UInt8.self)
        out.storeBytes(of: characters, toByteOffset: 2, as: UInt128.self)
        let end = out + (significant == 0 ? 1 : 2 &+ significant)
        end.storeBytes(of: UInt8(ascii: "e"), as: UInt8.self)
        end.storeBytes(of: scale < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"), toByteOffset: 1, as: UInt8.self)
        // The last two or three of eight digits.
        let exponent = UInt32(truncatingIfNeeded: scale.magnitude)
        let exponentLength = exponent < 100 ? 2 : 3
        let exponentCharacters = (eightDigits(exponent) | 0x3030_3030_3030_3030) &>> UInt64(8 &* (8 &- exponentLength))
        end.storeBytes(of: exponentCharacters, toByteOffset: 2, as: UInt64.self)
        return end + (2 &+ exponentLength)
    }

    /// Writes a number without exponent.
    ///
    /// - Parameters:
    ///   - first: The first digit, which stands for units of 10^`scale`.
    ///   - characters: The other digits, the first in the lowest byte.
    ///   - significant: Digits of `characters` up to the last that is not 0.
    @inline(__always)
    private static func write<Characters: FixedWidthInteger & BitwiseCopyable>(
        fixed first: UInt8,
        _ characters: Characters,
        significant: Int,
        scale: Int,
        to out: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let layout = FixedLayout(scale: scale)
        out.storeBytes(of: FixedLayout.leadingZeros, as: UInt64.self)
        out.storeBytes(of: first, toByteOffset: layout.first, as: UInt8.self)
        out.storeBytes(of: characters, toByteOffset: layout.first &+ 1, as: Characters.self)
        out.storeBytes(of: UInt8(ascii: "."), toByteOffset: layout.point, as: UInt8.self)
        out.storeBytes(
            of: characters &>> Characters(truncatingIfNeeded: 8 &* layout.whole),
            toByteOffset: layout.fraction,
            as: Characters.self
        )
        return out + (layout.fraction &+ max(significant &- layout.whole, layout.leastFraction))
    }

    /// Writes given characters, 40 at most.
    static func write(_ text: StaticString, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        text.withUTF8Buffer { characters in
            for (offset, character) in characters.enumerated() {
                out.storeBytes(of: character, toByteOffset: offset, as: UInt8.self)
            }
            return out + characters.count
        }
    }

    /// Offsets of the parts of a number without exponent, in bytes from its start.
    private struct FixedLayout {
        /// `0.000000` from the first byte on.
        static let leadingZeros: UInt64 = 0x3030_3030_3030_2e30

        /// Digits before the point besides the first.
        var whole: Int
        /// Offset of the first digit; the others follow.
        var first: Int
        var point: Int
        /// Offset of the digits behind the point, which are written a second time.
        var fraction: Int
        /// Minimum number of digits at `fraction`.
        var leastFraction: Int

        @inline(__always)
        init(scale: Int) {
            // All bits are set for numbers below 1.
            let mask = scale &>> (Int.bitWidth - 1)
            whole = scale & ~mask
            first = (1 &- scale) & mask
            point = whole &+ 1
            fraction = 2 &+ ((scale ^ mask) &- mask)
            leastFraction = 1 &+ mask
        }
    }

    /// A power of ten, which is a constant if the exponent is one.
    @inline(__always)
    private static func powerOfTen(_ exponent: Int) -> UInt64 {
        var power: UInt64 = 1
        for _ in 0..<max(exponent, 0) { power &*= 10 }
        return power
    }

    /// The first of nine digits as a character, and the others as numbers, one in each byte, the first in the lowest.
    @inline(__always)
    private static func nineDigits(_ value: UInt32) -> (first: UInt8, tail: UInt64) {
        let first = value / 100_000_000
        let upper = value / 10_000
        return (
            UInt8(truncatingIfNeeded: first) &+ 0x30,
            digits(ofFours: upper &- first &* 10_000, value &- upper &* 10_000)
        )
    }

    @inline(__always)
    private static func eightDigits(_ value: UInt32) -> UInt64 {
        let upper = value / 10_000
        return digits(ofFours: upper, value &- upper &* 10_000)
    }

    /// The digits of two numbers below 10^4, one in each byte, the first in the lowest.
    @inline(__always)
    private static func digits(ofFours upper: UInt32, _ lower: UInt32) -> UInt64 {
        // Split in halves, side by side; the factors divide exactly for numbers of this size.
        let fours = UInt64(upper) | UInt64(lower) &<< 32
        let hundreds = (fours &* 10_486) &>> 20 & 0x0000_007f_0000_007f
        let twos = hundreds | (fours &- hundreds &* 100) &<< 16
        let tens = (twos &* 103) &>> 10 & 0x000f_000f_000f_000f
        return tens | (twos &- tens &* 10) &<< 8
    }
}
