public import ByteText
public import WeightInit

/// Name, shape and dtype of a tensor that a format writes.
public struct TensorDescription: Sendable, Equatable {
    public let name: Text
    public let shape: Shape
    public let dtype: DType
    /// Bytes of all elements.
    public let byteCount: Int

    /// - Throws: `tooLarge` if the bytes cannot be counted in 63 bits.
    public init(name: Text, shape: Shape, dtype: DType) throws(FormatError) {
        let (bytes, overflow) = shape.elementCount.multipliedReportingOverflow(by: dtype.itemSize)
        guard !overflow else { throw .tooLarge("a tensor of shape \(shape) and dtype \(dtype) is over 2^63 − 1 bytes") }
        self.name = name
        self.shape = shape
        self.dtype = dtype
        byteCount = bytes
    }
}
