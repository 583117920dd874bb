public import TorchRandom

/// The element type of a tensor, named as PyTorch names it.
public enum DType: String, CaseIterable, Sendable {
    case float32
    case float64
    case float16
    case bfloat16
    /// Only what PyTorch keeps as counters in a state dict (`num_batches_tracked`); cannot be asked for.
    case int64

    /// The types in which a tensor can be asked for.
    public static let requestable: [DType] = [.float32, .float64, .float16, .bfloat16]

    /// Bytes of one element.
    public var itemSize: Int {
        floatFormat?.itemSize ?? 8
    }

    /// How numbers are rounded and stored; `nil` for integers.
    public var floatFormat: FloatFormat? {
        switch self {
        case .float32: .float32
        case .float64: .float64
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .int64: nil
        }
    }
}
