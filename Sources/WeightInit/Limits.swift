/// How much one request may ask for. Each is an option of the command.
public struct Limits: Sendable, Equatable {
    /// Bytes of one tensor, and of all tensors of a request together.
    public var maximumTensorBytes = 1 << 42
    /// Elements of a matrix that has to be whole in memory before its first byte: `orthogonal`, and `sparse`'s mask.
    public var maximumMatrixElements = 1 << 26
    /// Rounds of redrawing that a truncated normal may be expected to need.
    public var maximumRounds = 1024
    /// Modules of a model, those without parameters and those inside others included.
    public var maximumLayers = 10_000
    /// Tensors of a model, those that are tied, or were only copied, included.
    public var maximumTensors = 100_000
    /// Bytes of the names of all modules and tensors together.
    public var maximumNameBytes = 1 << 22
    /// Times that a rule is held against a parameter: rules × parameters, summed over the passes. A module that is passed by
    /// counts as one, 64 bytes that a pattern goes through as another, a parameter that is initialised anew as 16.
    public var maximumRuleMatches = 4_000_000
    /// Blocks inside each other, and layers inside each other.
    public var maximumNesting = 16

    public init() {}
}
