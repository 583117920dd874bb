/// One tensor to be made.
public struct TensorRequest: Sendable, Equatable {
    /// Empty for a tensor that stands alone.
    public var name: String
    /// Canonical name of the method.
    public var method: String
    public var shape: Shape
    public var dtype: DType
    /// The method's own parameters.
    public var arguments: Arguments
    /// The block that is wanted of it, where that is not all.
    public var slice: Slice?

    public init(
        name: String = "",
        method: String,
        shape: Shape,
        dtype: DType = .float32,
        arguments: Arguments = Arguments(),
        slice: Slice? = nil
    ) {
        self.name = name
        self.method = method
        self.shape = shape
        self.dtype = dtype
        self.arguments = arguments
        self.slice = slice
    }
}
