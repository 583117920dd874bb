/// An element type: the number that its bits stand for, and its text in JSON.
protocol TensorElement {
    associatedtype Bits: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable

    /// The number, exactly (integers over 2^53 rounded).
    static func value(_ bits: Bits) -> Double

    /// Writes one element.
    ///
    /// - Parameters:
    ///   - bits: The element, as a number of the host's byte order.
    ///   - out: Start of at least `NumberText.room` writable bytes.
    /// - Returns: The end of the text.
    static func write(_ bits: Bits, powers: PowersOfTen, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer
}

/// A binary floating-point format with the fields of IEEE 754.
protocol FloatElement: TensorElement {
    static var fractionBits: UInt64 { get }

    /// Writes `significand` · 2^`exponent`, a normal number that is no power of two.
    static func write(significand: UInt64, exponent: Int, powers: PowersOfTen, to out: UnsafeMutableRawPointer)
        -> UnsafeMutableRawPointer
}

extension FloatElement {
    @inline(__always) static var exponentBits: UInt64 { UInt64(Bits.bitWidth) &- 1 &- fractionBits }
    @inline(__always) static var largestExponent: UInt64 { 1 &<< exponentBits &- 1 }

    /// Exponent of the power of two that the last bit of a subnormal number stands for.
    @inline(__always) static var leastExponent: Int { 2 &- Int(largestExponent &>> 1) &- 1 &- Int(fractionBits) }

    @inline(__always)
    static func write(_ bits: Bits, powers: PowersOfTen, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        let bits = UInt64(truncatingIfNeeded: bits)
        let fraction = bits & (1 &<< fractionBits &- 1)
        let exponent = bits &>> fractionBits & largestExponent
        guard fraction != 0, exponent &- 1 < largestExponent &- 1 else {
            return writeUnusual(bits, powers: powers, to: out)
        }
        out.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        return write(
            significand: fraction | 1 &<< fractionBits,
            exponent: leastExponent &- 1 &+ Int(truncatingIfNeeded: exponent),
            powers: powers,
            to: out + Int(truncatingIfNeeded: bits &>> (fractionBits &+ exponentBits))
        )
    }

    /// Writes the special cases: zeros, subnormal numbers, powers of two, infinities and NaN.
    @inline(never)
    static func writeUnusual(_ bits: UInt64, powers: PowersOfTen, to out: UnsafeMutableRawPointer)
        -> UnsafeMutableRawPointer
    {
        let fraction = bits & (1 &<< fractionBits &- 1)
        let exponent = bits &>> fractionBits & largestExponent
        let isNegative = bits &>> (fractionBits &+ exponentBits) != 0
        if exponent == largestExponent {
            if fraction != 0 { return NumberText.write(#""nan""#, to: out) }
            return isNegative ? NumberText.write(#""-inf""#, to: out) : NumberText.write(#""inf""#, to: out)
        }
        if exponent == 0, fraction == 0 {
            return isNegative ? NumberText.write("-0.0", to: out) : NumberText.write("0.0", to: out)
        }
        out.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        let isNormal = exponent != 0
        let decimal = ShortestDecimal(
            isNormal ? fraction | 1 &<< fractionBits : fraction,
            exponent: leastExponent + Int(isNormal ? exponent - 1 : 0),
            isLowerCloser: fraction == 0 && exponent > 1,
            powers: powers.wide
        )
        return NumberText.write(decimal, to: isNegative ? out + 1 : out)
    }
}

/// A float of at most 32 bits, with an exponent no wider than float32's.
protocol NarrowFloatElement: FloatElement {
    /// Minimum number of digits in the shortest decimal of a normal number, before zeros at its end are dropped: as
    /// many as the least significand has. The maximum is two more.
    static var leastDigitCount: Int { get }
}

extension NarrowFloatElement {
    @inline(__always)
    static func write(significand: UInt64, exponent: Int, powers: PowersOfTen, to out: UnsafeMutableRawPointer)
        -> UnsafeMutableRawPointer
    {
        let significand = UInt32(truncatingIfNeeded: significand)
        let decimal = ShortestDecimal(regular: significand, exponent: exponent, powers: powers.narrow)
        return NumberText.write(narrow: decimal, least: leastDigitCount, to: out)
    }
}

enum Float32Element: NarrowFloatElement {
    typealias Bits = UInt32
    @inline(__always) static var fractionBits: UInt64 { 23 }
    @inline(__always) static var leastDigitCount: Int { 7 }
    @inline(__always) static func value(_ bits: UInt32) -> Double { Double(Float(bitPattern: bits)) }
}

enum Float16Element: NarrowFloatElement {
    typealias Bits = UInt16
    @inline(__always) static var fractionBits: UInt64 { 10 }
    @inline(__always) static var leastDigitCount: Int { 4 }
    @inline(__always) static func value(_ bits: UInt16) -> Double { Double(Float16(bitPattern: bits)) }
}

enum BFloat16Element: NarrowFloatElement {
    typealias Bits = UInt16
    @inline(__always) static var fractionBits: UInt64 { 7 }
    @inline(__always) static var leastDigitCount: Int { 3 }
    @inline(__always) static func value(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
}

enum Float64Element: FloatElement {
    typealias Bits = UInt64
    @inline(__always) static var fractionBits: UInt64 { 52 }
    @inline(__always) static func value(_ bits: UInt64) -> Double { Double(bitPattern: bits) }

    @inline(__always)
    static func write(significand: UInt64, exponent: Int, powers: PowersOfTen, to out: UnsafeMutableRawPointer)
        -> UnsafeMutableRawPointer
    {
        let decimal = ShortestDecimal(regular: significand, exponent: exponent, powers: powers.wide)
        return NumberText.write(wide: decimal, to: out)
    }
}

/// An integer of a width, stored as bits of the same width.
enum IntegerElement<Value: FixedWidthInteger, Bits: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>:
    TensorElement
{
    @inline(__always) static func value(_ bits: Bits) -> Double { Double(Value(truncatingIfNeeded: bits)) }

    static func write(_ bits: Bits, powers: PowersOfTen, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        var end = out
        for character in String(Value(truncatingIfNeeded: bits)).utf8 {
            end.storeBytes(of: character, as: UInt8.self)
            end += 1
        }
        return end
    }
}

typealias Int64Element = IntegerElement<Int64, UInt64>
typealias Int32Element = IntegerElement<Int32, UInt32>
typealias Int16Element = IntegerElement<Int16, UInt16>
typealias Int8Element = IntegerElement<Int8, UInt8>
typealias UInt8Element = IntegerElement<UInt8, UInt8>

/// A boolean in a byte.
enum BoolElement: TensorElement {
    @inline(__always) static func value(_ bits: UInt8) -> Double { bits == 0 ? 0 : 1 }

    static func write(_ bits: UInt8, powers: PowersOfTen, to out: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        NumberText.write(bits == 0 ? "false" : "true", to: out)
    }
}
