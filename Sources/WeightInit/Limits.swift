/// How much one request may ask for. Each is an option of the command.
public struct Limits: Sendable, Equatable {
    /// Bytes of one tensor, and of all tensors of a request together.
    public var maximumTensorBytes = 1 << 42
    /// Elements of a matrix that has to be whole in memory before its first byte: `orthogonal`, and `sparse`'s mask.
    public var maximumMatrixElements = 1 << 26
    /// Rounds of redrawing that a truncated normal may be expected to need.
    public var maximumRounds = 1024

    public init() {}
}
