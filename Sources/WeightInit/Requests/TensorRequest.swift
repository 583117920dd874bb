public import ByteText

/// A request for one tensor.
public struct TensorRequest: Sendable, Equatable {
    /// The tensor's name; empty for a single tensor.
    public var name: Text
    /// The method; `nil` if a model's steps write all elements.
    public var method: InitMethod?
    public var shape: Shape
    public var dtype: DType
    /// The method's own parameters.
    public var arguments: Arguments
    /// The requested block; `nil` for the whole tensor.
    public var slice: Slice?
    /// The type in which the tensor is sent; `nil` for its own. Integers keep their type.
    public var cast: DType?
    /// `true` if the tensor is in the model's state dict. Other tensors are made only if a step reads them or `include`
    /// names them.
    public var isPersistent: Bool

    public init(
        name: Text = "",
        method: InitMethod?,
        shape: Shape,
        dtype: DType = .float32,
        arguments: Arguments = Arguments(),
        slice: Slice? = nil,
        cast: DType? = nil,
        isPersistent: Bool = true
    ) {
        self.name = name
        self.method = method
        self.shape = shape
        self.dtype = dtype
        self.arguments = arguments
        self.slice = slice
        self.cast = cast
        self.isPersistent = isPersistent
    }
}
