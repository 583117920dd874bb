public import ByteText

/// One tensor to be made.
public struct TensorRequest: Sendable, Equatable {
    /// Empty for a tensor that stands alone.
    public var name: Text
    /// `nil` if a model's steps write all of it.
    public var method: InitMethod?
    public var shape: Shape
    public var dtype: DType
    /// The method's own parameters.
    public var arguments: Arguments
    /// The block that is wanted of it; `nil` for all of it.
    public var slice: Slice?
    /// The type in which it is sent; `nil` for its own. Integers stay what they are.
    public var cast: DType?
    /// `true` if a model's state dict has it. One that it has not is made if a step or a list of names wants it.
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
