private import Glibc

/// The arithmetic from words to values, one value at a time.
///
/// The reference that the vector kernels are tested against. Only `addingProduct` is fused; each other operation
/// rounds.
public enum ScalarTransforms {
    /// One element of `uniform_`: x·(to − from) + from for `x` in [0, 1), rounded to the format. A result equal to `to`
    /// becomes `from`.
    ///
    /// - Returns: The element's bits.
    public static func uniform(_ x: Float, from: Float, to: Float, format: FloatFormat) -> UInt64 {
        let value = Double(from.addingProduct(x, to - from))
        return clamped(value, from: Double(from), to: Double(to), format: format)
    }

    /// The float64 form of ``uniform(_:from:to:format:)``.
    public static func uniform(_ x: Double, from: Double, to: Double) -> UInt64 {
        clamped(from.addingProduct(x, to - from), from: from, to: to, format: .float64)
    }

    private static func clamped(_ value: Double, from: Double, to: Double, format: FloatFormat) -> UInt64 {
        let bits = format.bits(value)
        return format.value(bits: bits) == format.rounded(to) ? format.bits(from) : bits
    }

    /// log(x) for a positive normal `x`, by the Cephes polynomial that PyTorch's vector code uses.
    public static func log(_ x: Float) -> Float {
        let bits = x.bitPattern
        var m = Float(bitPattern: (bits & 0x807f_ffff) | 0x3f00_0000)
        var e = Float(Int32(bits >> 23) - 127) + 1
        if m < Float(bitPattern: 0x3f35_04f3) {
            e -= 1
            let t = m
            m -= 1
            m += t
        } else {
            m -= 1
        }
        let z = m * m
        var y = Float(bitPattern: logPolynomial[0])
        for coefficient in logPolynomial.dropFirst() {
            y = Float(bitPattern: coefficient).addingProduct(y, m)
        }
        y *= m
        y = (e * Float(bitPattern: 0xb95e_8083)).addingProduct(y, z)
        y.addProduct(-z, 0.5)
        m += y
        return m.addingProduct(e, Float(bitPattern: 0x3f31_8000))
    }

    private static let logPolynomial: [UInt32] = [
        0x3d90_21bb, 0xbdeb_d1b8, 0x3def_251a, 0xbdfe_5d4f, 0x3e11_e9bf, 0xbe2a_ae50, 0x3e4c_ceac, 0xbe7f_fffc,
        0x3eaa_aaaa,
    ]

    /// The radius of a Box–Muller pair: √(−2 log u1).
    public static func radius(_ u1: Float) -> Float {
        (-2 * log(u1)).squareRoot()
    }

    /// Sine and cosine of 2π·u2 for u2 in [0, 1).
    public static func sincosOfTurns(_ u2: Float) -> (sin: Float, cos: Float) {
        let theta = Float(bitPattern: 0x40c9_0fdb) * u2
        let j = (Int32(theta * Float(bitPattern: 0x3fa2_f983)) + 1) & ~1
        let y = Float(j)
        var x = theta.addingProduct(y, Float(bitPattern: 0xbf49_0000))
        x.addProduct(y, Float(bitPattern: 0xb97d_a000))
        x.addProduct(y, Float(bitPattern: 0xb322_2169))
        let z = x * x

        var c = Float(bitPattern: 0x37cc_f5ce)
        c = Float(bitPattern: 0xbab6_061a).addingProduct(c, z)
        c = Float(bitPattern: 0x3d2a_aaa5).addingProduct(c, z)
        c *= z
        c = (-(z * 0.5)).addingProduct(c, z)
        c += 1

        var s = Float(bitPattern: 0xb94c_a1f9)
        s = Float(bitPattern: 0x3c08_839e).addingProduct(s, z)
        s = Float(bitPattern: 0xbe2a_aaa3).addingProduct(s, z)
        s *= z
        s = x.addingProduct(s, x)

        var (sine, cosine) = j & 2 == 0 ? (s, c) : (c, s)
        sine += 0
        cosine += 0
        if j & 4 != 0 { sine = -sine }
        if (j - 2) & 4 == 0 { cosine = -cosine }
        return (sine, cosine)
    }

    /// Turns 16 uniforms in [0, 1) into 16 normals in place.
    public static func normalBlock(_ block: inout [Float], mean: Float, std: Float) {
        for j in 0..<8 {
            let r = radius(1 - block[j])
            let (sine, cosine) = sincosOfTurns(block[j + 8])
            block[j] = mean.addingProduct(r * cosine, std)
            block[j + 8] = mean.addingProduct(r * sine, std)
        }
    }

    /// The float64 form of ``normalBlock(_:mean:std:)``, with log, sin and cos of the C library.
    public static func normalBlock(_ block: inout [Double], mean: Double, std: Double) {
        for j in 0..<8 {
            let r = (-2 * Glibc.log(1 - block[j])).squareRoot()
            let theta = twoPi * block[j + 8]
            block[j] = mean.addingProduct(r * cos(theta), std)
            block[j + 8] = mean.addingProduct(r * sin(theta), std)
        }
    }

    /// The two standard normals of a pair of float64 uniforms, as PyTorch draws fewer than 16 normals: the first is
    /// used at once, the second is kept for the next draw.
    public static func normalPair(_ u1: Double, _ u2: Double) -> (now: Double, kept: Double) {
        let r = (-2 * log1p(-u2)).squareRoot()
        let theta = twoPi * u1
        return (r * cos(theta), r * sin(theta))
    }

    private static let twoPi = Double(bitPattern: 0x4019_21fb_5444_2d18)
}
