public import ByteText
public import WeightInit

/// The reason why tensors cannot be written in a format.
public enum FormatError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The format has no such element type.
    case unrepresentable(DType, in: TensorFormat)
    /// Two tensors of one file have the same name.
    case duplicateName(Text)
    /// The format reserves this name.
    case reservedName(Text)
    /// A size over the limits of the format, or over 2^63 − 1 bytes.
    case tooLarge(String)

    public var description: String {
        switch self {
        case .unrepresentable(let dtype, let format): "\(format.name) has no type for \(dtype.rawValue)"
        case .duplicateName(let name): "two tensors are named \(name.quotedForMessage)"
        case .reservedName(let name): "the name \(name.quotedForMessage) is reserved by the format"
        case .tooLarge(let detail): detail
        }
    }
}
