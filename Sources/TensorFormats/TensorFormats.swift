public import WeightInit

/// How a tensor, or a set of them, is put into bytes.
public enum TensorFormat: String, CaseIterable, Sendable {
    /// The elements alone: little-endian, row-major.
    case raw
    /// NumPy's file format; see ``NumPyHeader``.
    case npy
    /// Hugging Face's file format; see ``SafetensorsLayout``.
    case safetensors
    /// Nested lists of numbers; see ``JSONTensorStream``.
    case json
    /// What can be said about the numbers without giving them; see ``TensorSummary``.
    case summary

    public var mediaType: String {
        switch self {
        case .raw: "application/octet-stream"
        case .npy: "application/x-npy"
        case .safetensors: "application/x-safetensors"
        case .json, .summary: "application/json"
        }
    }

    /// Whether the format has room for one tensor only.
    public var holdsOneTensorOnly: Bool {
        self == .raw || self == .npy
    }

    /// Why tensors of a type cannot be written in this format; `nil` where they can.
    public func objection(to dtype: DType) -> FormatError? {
        self == .npy && dtype == .bfloat16 ? .unrepresentable(dtype, in: self) : nil
    }
}

/// A tensor as a format needs to know it: everything but its numbers.
public struct TensorDescription: Sendable, Equatable {
    public let name: String
    public let shape: Shape
    public let dtype: DType
    /// Bytes of all elements.
    public let byteCount: Int

    /// - Throws: `tooLarge` where the bytes cannot be counted in 63 bits.
    public init(name: String, shape: Shape, dtype: DType) throws(FormatError) {
        let (bytes, overflow) = shape.elementCount.multipliedReportingOverflow(by: dtype.itemSize)
        guard !overflow else { throw .tooLarge("a tensor of shape \(shape) and dtype \(dtype) is over 2^63 − 1 bytes") }
        self.name = name
        self.shape = shape
        self.dtype = dtype
        byteCount = bytes
    }
}
