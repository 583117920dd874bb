import Foundation

/// The specification of the kernels, one number at a time: every fused multiply-add is written out, and every other
/// operation rounds its result.
struct Reference {
    private var state: [UInt32]
    private var used = 624

    init(seed: UInt32) {
        state = [seed]
        for j in 1..<624 {
            let last = state[j - 1]
            state.append(1_812_433_253 &* (last ^ last >> 30) &+ UInt32(j))
        }
    }

    mutating func word() -> UInt32 {
        if used == 624 {
            for k in 0..<624 {
                let next = state[(k + 1) % 624]
                let y = state[k] & 0x8000_0000 | next & 0x7fff_ffff
                state[k] = state[(k + 397) % 624] ^ y >> 1 ^ (next & 1 == 1 ? 0x9908_b0df : 0)
            }
            used = 0
        }
        var y = state[used]
        used += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9d2c_5680
        y ^= y << 15 & 0xefc6_0000
        return y ^ y >> 18
    }

    mutating func unit24() -> Float { Float(word() & 0xff_ffff) * 0x1p-24 }

    mutating func unit53() -> Double {
        let high = UInt64(word())
        return Double((high << 32 | UInt64(word())) & (1 << 53 - 1)) * 0x1p-53
    }

    mutating func uniform(_ range: UniformRange<Float>) -> Float {
        let value = range.from.addingProduct(unit24(), range.width)
        return value == range.to ? range.from : value
    }

    mutating func uniform(_ range: UniformRange<Double>) -> Double {
        let value = range.from.addingProduct(unit53(), range.width)
        return value == range.to ? range.from : value
    }

    mutating func uniform<H: HalfFormat>(_ range: UniformRange<Float>, as format: H.Type) -> UInt16 {
        let value = H.bits(range.from.addingProduct(unit24(), range.width))
        return H.value(value) == H.value(H.bits(range.to)) ? H.bits(range.from) : value
    }

    mutating func normals(mean: Float, std: Float) -> [Float] {
        let uniforms = (0..<16).map { _ in unit24() }
        var out = [Float](repeating: 0, count: 16)
        for j in 0..<8 {
            let radius = (-2 * Self.log(1 - uniforms[j])).squareRoot()
            let (sine, cosine) = Self.sincos(0x1.921fb6p2 * uniforms[j + 8])
            out[j] = mean.addingProduct(radius * cosine, std)
            out[j + 8] = mean.addingProduct(radius * sine, std)
        }
        return out
    }

    mutating func normals(mean: Double, std: Double) -> [Double] {
        let uniforms = (0..<16).map { _ in unit53() }
        var out = [Double](repeating: 0, count: 16)
        for j in 0..<8 {
            let radius = (-2 * Foundation.log(1 - uniforms[j])).squareRoot()
            let angle = 0x1.921fb54442d18p2 * uniforms[j + 8]
            out[j] = mean.addingProduct(radius * cos(angle), std)
            out[j + 8] = mean.addingProduct(radius * sin(angle), std)
        }
        return out
    }

    private static func float(_ pattern: UInt32) -> Float { Float(bitPattern: pattern) }

    private static let logPolynomial = [
        0xbdeb_d1b8, 0x3def_251a, 0xbdfe_5d4f, 0x3e11_e9bf, 0xbe2a_ae50, 0x3e4c_ceac, 0xbe7f_fffc, 0x3eaa_aaaa,
    ].map { float($0) }

    private static func log(_ x: Float) -> Float {
        var e = Float(Int(x.bitPattern >> 23) - 127) + 1
        var m = float(x.bitPattern & 0x807f_ffff | 0x3f00_0000)
        if m < float(0x3f35_04f3) {
            e -= 1
            m = (m - 1) + m
        } else {
            m -= 1
        }
        let z = m * m
        var y = float(0x3d90_21bb)
        for coefficient in logPolynomial { y = coefficient.addingProduct(y, m) }
        y *= m
        y = (e * float(0xb95e_8083)).addingProduct(y, z)
        y.addProduct(-z, 0.5)
        m += y
        return m.addingProduct(e, float(0x3f31_8000))
    }

    private static func sincos(_ angle: Float) -> (sine: Float, cosine: Float) {
        let octant = (Int32(angle * float(0x3fa2_f983)) + 1) & ~1
        let y = Float(octant)
        var x = angle.addingProduct(y, float(0xbf49_0000))
        x.addProduct(y, float(0xb97d_a000))
        x.addProduct(y, float(0xb322_2169))
        let z = x * x
        var c = float(0x37cc_f5ce)
        c = float(0xbab6_061a).addingProduct(c, z)
        c = float(0x3d2a_aaa5).addingProduct(c, z)
        c *= z
        c = (-(z * 0.5)).addingProduct(c, z)
        c += 1
        var s = float(0xb94c_a1f9)
        s = float(0x3c08_839e).addingProduct(s, z)
        s = float(0xbe2a_aaa3).addingProduct(s, z)
        s *= z
        s = x.addingProduct(s, x)
        let (sine, cosine) = octant & 2 == 0 ? (s, c) : (c, s)
        return (octant & 4 == 0 ? sine : -sine, (octant - 2) & 4 == 0 ? -cosine : cosine)
    }
}

/// PyTorch's half-open range [from, to) and its width, rounded once.
struct UniformRange<T: BinaryFloatingPoint> {
    let from: T
    let to: T
    var width: T { to - from }
}

/// A float of 16 bits, by its bit pattern.
protocol HalfFormat {
    static func bits(_ value: Float) -> UInt16
    static func value(_ bits: UInt16) -> Float
}

enum IEEEHalf: HalfFormat {
    static func bits(_ value: Float) -> UInt16 { Float16(value).bitPattern }
    static func value(_ bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }
}

enum BrainFloat: HalfFormat {
    static func bits(_ value: Float) -> UInt16 {
        if value.isNaN { return 0x7fc0 }
        return UInt16(truncatingIfNeeded: (value.bitPattern &+ 0x7fff &+ (value.bitPattern >> 16 & 1)) >> 16)
    }
    static func value(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
}
