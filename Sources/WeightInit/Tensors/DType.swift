public import ByteText
public import TorchRandom

/// The element type of a tensor, named as PyTorch names it.
public enum DType: String, CaseIterable, Sendable {
    case float32
    case float64
    case float16
    case bfloat16
    case int64
    case int32
    case int16
    case int8
    case uint8
    case bool

    /// Looks up PyTorch's name, with or without `torch.`, or one of its aliases; case does not matter.
    public static func named(_ name: Text) -> DType? {
        let lowercased = name.asciiLowercased()
        let word = lowercased.removing(prefix: "torch.") ?? lowercased
        return DType(word) ?? allCases.first { $0.aliases.contains(word) }
    }

    /// Other names: PyTorch's own aliases, and the short forms of papers and files.
    public var aliases: [Text] {
        switch self {
        case .float32: ["float", "fp32", "f32"]
        case .float64: ["double", "fp64", "f64"]
        case .float16: ["half", "fp16", "f16"]
        case .bfloat16: ["bf16"]
        case .int64: ["long", "i64"]
        case .int32: ["int", "i32"]
        case .int16: ["short", "i16"]
        case .int8: ["i8"]
        case .uint8: ["byte", "u8"]
        case .bool: []
        }
    }

    /// The types that random methods can draw.
    public static let requestable: [DType] = [.float32, .float64, .float16, .bfloat16]

    /// Bytes of one element.
    public var itemSize: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// The format that numbers are rounded to and stored in; `nil` for integers and booleans.
    public var floatFormat: FloatFormat? {
        switch self {
        case .float32: .float32
        case .float64: .float64
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .int64, .int32, .int16, .int8, .uint8, .bool: nil
        }
    }

    /// The smallest and the largest value of an integer type; a boolean is 0 or 1. `nil` for floating-point types.
    var integerRange: ClosedRange<Int>? {
        switch self {
        case .float32, .float64, .float16, .bfloat16: nil
        case .int64: Int.min...Int.max
        case .int32: Int(Int32.min)...Int(Int32.max)
        case .int16: Int(Int16.min)...Int(Int16.max)
        case .int8: Int(Int8.min)...Int(Int8.max)
        case .uint8: 0...Int(UInt8.max)
        case .bool: 0...1
        }
    }
}
