/// A floating-point format that tensors are stored in, with PyTorch's rules for rounding into it.
public enum FloatFormat: String, CaseIterable, Sendable {
    case float32
    case float64
    case float16
    case bfloat16

    /// Bytes of one element.
    public var itemSize: Int {
        switch self {
        case .float32: 4
        case .float64: 8
        case .float16, .bfloat16: 2
        }
    }

    /// Number of generator words for one uniform element, or for one element of a normal block.
    public var wordsPerElement: UInt64 {
        self == .float64 ? 2 : 1
    }

    /// The largest finite value.
    public var largestFinite: Double {
        switch self {
        case .float32: Double(Float.greatestFiniteMagnitude)
        case .float64: .greatestFiniteMagnitude
        case .float16: 65504
        case .bfloat16: Double(Float(bitPattern: 0x7f7f_0000))
        }
    }

    /// The element's bits for a number, in the low bytes.
    ///
    /// float16 and bfloat16 are rounded twice, through float32, as PyTorch does.
    public func bits(_ value: Double) -> UInt64 {
        switch self {
        case .float32: UInt64(Float(value).bitPattern)
        case .float64: value.bitPattern
        case .float16: UInt64(Float16(Float(value)).bitPattern)
        case .bfloat16: UInt64(FloatFormat.bfloat16Bits(Float(value)))
        }
    }

    /// The exact number that an element's bits stand for.
    public func value(bits: UInt64) -> Double {
        switch self {
        case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
        case .float64: Double(bitPattern: bits)
        case .float16: Double(Float16(bitPattern: UInt16(truncatingIfNeeded: bits)))
        case .bfloat16: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits << 16)))
        }
    }

    /// The number that the format holds after rounding as in ``bits(_:)``; ±infinity past the largest.
    public func rounded(_ value: Double) -> Double {
        self.value(bits: bits(value))
    }

    /// Rounds to nearest, ties to even; each NaN becomes the positive quiet NaN.
    public static func bfloat16Bits(_ value: Float) -> UInt16 {
        guard !value.isNaN else { return 0x7fc0 }
        let bits = value.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
    }
}
