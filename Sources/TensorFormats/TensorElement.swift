/// An element type: what its bits stand for, and how JSON writes them.
protocol TensorElement {
    associatedtype Bits: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable

    /// The number, exactly (integers over 2^53 rounded).
    static func value(_ bits: Bits) -> Double

    /// Writes one element.
    ///
    /// - Parameters:
    ///   - bits: The element, as a number of the host's byte order.
    ///   - out: Has room for `NumberText.room` bytes from `start` on.
    /// - Returns: Where the text ends.
    static func write(_ bits: Bits, powers: PowersOfTen, into out: inout MutableRawSpan, at start: Int) -> Int
}

/// A float of at most 32 bits, with an exponent no wider than float32's.
protocol NarrowFloatElement: TensorElement {
    static var fractionBits: UInt32 { get }
    static var exponentBits: UInt32 { get }
}

extension NarrowFloatElement {
    @inline(__always)
    static func write(_ bits: Bits, powers: PowersOfTen, into out: inout MutableRawSpan, at start: Int) -> Int {
        let bits = UInt32(truncatingIfNeeded: bits)
        let fraction = bits & (1 << fractionBits &- 1)
        let largest = UInt32(1) << exponentBits &- 1
        let biased = bits >> fractionBits & largest
        let sign = bits >> (fractionBits &+ exponentBits)
        if biased == largest || (biased | fraction) == 0 {
            return NumberText.writeSpecial(
                isZero: biased == 0,
                isInfinite: fraction == 0,
                isNegative: sign != 0,
                into: &out,
                at: start
            )
        }
        out.storeBytes(of: UInt8(ascii: "-"), toByteOffset: start, as: UInt8.self)
        let isNormal: UInt32 = biased != 0 ? 1 : 0
        let unit = 1 &- Int(largest >> 1) &- Int(fractionBits)
        let decimal = ShortestDecimal(
            significand: fraction | isNormal << fractionBits,
            exponent: Int(biased &- isNormal) &+ unit,
            isLowerCloser: fraction == 0 && biased > 1 ? 1 : 0,
            powers: powers.narrow
        )
        return NumberText.write(narrow: decimal, into: &out, at: start &+ Int(sign))
    }
}

enum Float32Element: NarrowFloatElement {
    typealias Bits = UInt32
    @inline(__always) static var fractionBits: UInt32 { 23 }
    @inline(__always) static var exponentBits: UInt32 { 8 }
    @inline(__always) static func value(_ bits: UInt32) -> Double { Double(Float(bitPattern: bits)) }
}

enum Float16Element: NarrowFloatElement {
    typealias Bits = UInt16
    @inline(__always) static var fractionBits: UInt32 { 10 }
    @inline(__always) static var exponentBits: UInt32 { 5 }
    @inline(__always) static func value(_ bits: UInt16) -> Double { Double(Float16(bitPattern: bits)) }
}

enum BFloat16Element: NarrowFloatElement {
    typealias Bits = UInt16
    @inline(__always) static var fractionBits: UInt32 { 7 }
    @inline(__always) static var exponentBits: UInt32 { 8 }
    @inline(__always) static func value(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
}

enum Float64Element: TensorElement {
    @inline(__always) static func value(_ bits: UInt64) -> Double { Double(bitPattern: bits) }

    @inline(__always)
    static func write(_ bits: UInt64, powers: PowersOfTen, into out: inout MutableRawSpan, at start: Int) -> Int {
        let fraction = bits & (1 << 52 &- 1)
        let biased = bits >> 52 & 0x7ff
        let sign = bits >> 63
        if biased == 0x7ff || (biased | fraction) == 0 {
            return NumberText.writeSpecial(
                isZero: biased == 0,
                isInfinite: fraction == 0,
                isNegative: sign != 0,
                into: &out,
                at: start
            )
        }
        out.storeBytes(of: UInt8(ascii: "-"), toByteOffset: start, as: UInt8.self)
        let isNormal: UInt64 = biased != 0 ? 1 : 0
        let decimal = ShortestDecimal(
            significand: fraction | isNormal << 52,
            exponent: Int(biased &- isNormal) &- 1074,
            isLowerCloser: fraction == 0 && biased > 1 ? 1 : 0,
            powers: powers.wide
        )
        return NumberText.write(wide: decimal, into: &out, at: start &+ Int(sign))
    }
}

enum Int64Element: TensorElement {
    @inline(__always) static func value(_ bits: UInt64) -> Double { Double(Int64(bitPattern: bits)) }

    static func write(_ bits: UInt64, powers: PowersOfTen, into out: inout MutableRawSpan, at start: Int) -> Int {
        var end = start
        for character in String(Int64(bitPattern: bits)).utf8 {
            out.storeBytes(of: character, toByteOffset: end, as: UInt8.self)
            end += 1
        }
        return end
    }
}
