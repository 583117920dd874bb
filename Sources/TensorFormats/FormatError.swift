public import WeightInit

/// Why tensors cannot be written in a format.
public enum FormatError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The format has no such element type.
    case unrepresentable(DType, in: TensorFormat)
    /// Two tensors of one file have the same name.
    case duplicateName(String)
    /// The format keeps this name for itself.
    case reservedName(String)
    /// Past what the format allows or what can be counted in 63 bits.
    case tooLarge(String)

    public var description: String {
        switch self {
        case .unrepresentable(let dtype, let format): "\(format.rawValue) has no type for \(dtype.rawValue)"
        case .duplicateName(let name): "two tensors are named \(name.quotedForMessage)"
        case .reservedName(let name): "the name \(name.quotedForMessage) is reserved by the format"
        case .tooLarge(let detail): detail
        }
    }
}
