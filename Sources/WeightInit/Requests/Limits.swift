public import ByteText
public import Settings

/// Limits on one request.
public struct Limits: Sendable, Equatable {
    /// Bytes of a single tensor, and of all sent tensors of a request together.
    public var maximumTensorBytes = 1 << 42
    /// Elements of a matrix that must be in memory as a whole before its first byte: `orthogonal`, and `sparse`'s mask.
    public var maximumMatrixElements = 1 << 26
    /// Expected rounds of redrawing of a truncated normal.
    public var maximumRounds = 1024
    /// Modules of a model, including modules without parameters and modules inside others.
    public var maximumLayers = 10_000
    /// Tensors of a model, including tied and copied ones.
    public var maximumTensors = 100_000
    /// Bytes of the names of all modules and tensors together.
    public var maximumNameBytes = 1 << 22
    /// Bytes of one name: of a tensor with its prefix, of a member, of a pattern.
    public var maximumNameLength = 512
    /// Comparisons of a rule with a parameter: rules × parameters, summed over the passes. Each module that a pass
    /// visits counts as one more, and so do each 64 bytes compared with a pattern; an initialised parameter counts as
    /// 16.
    public var maximumRuleMatches = 4_000_000
    /// Steps of a model; a step on several tensors counts once for each.
    public var maximumSteps = 100_000
    /// Bytes of the elements of all literals of a request together.
    public var maximumLiteralBytes = 1 << 26
    /// Draws, copies and changes that lie over one another in a tensor, including those of the tensors that it copies.
    public var maximumOverlays = 512
    /// Depth of blocks within blocks, and of layers within layers.
    public var maximumNesting = 16
    /// Weights drawn by all runs of `/propagate`.
    public var maximumPropagatedWeights = 1 << 27

    public init() {}

    /// - Parameter path: Path of the member that gives the name.
    /// - Throws: `tooLarge` if the name is too long.
    public func check(name: Text, at path: [Text]) throws(InitError) {
        guard name.byteCount <= maximumNameLength else {
            throw InitError(
                over: \Limits.maximumNameLength,
                path,
                "the name \(name.quotedForMessage) is longer than \(maximumNameLength) bytes"
            )
        }
    }
}

extension Limits: Configurable {
    public static let settings: [Setting<Limits>] = [
        Setting(
            "max-tensor-bytes",
            in: .requests,
            \.maximumTensorBytes,
            1...Int.max,
            of: "bytes",
            "Maximum size in bytes of all tensors of a request."
        ),
        Setting(
            "max-matrix-elements",
            in: .requests,
            \.maximumMatrixElements,
            1...Int(Int32.max),
            "Maximum number of elements of a matrix that has to be whole in memory (orthogonal, sparse)."
        ),
        // More rounds would exceed the 62 bits in which words are counted.
        Setting(
            "max-rounds",
            in: .requests,
            \.maximumRounds,
            1...1 << 40,
            "Maximum expected number of redrawing rounds of a truncated normal."
        ),
        Setting(
            "max-layers",
            in: .structure,
            \.maximumLayers,
            1...Int.max,
            "Maximum number of layers of a model, including layers without parameters and layers within layers."
        ),
        Setting("max-tensors", in: .structure, \.maximumTensors, 1...Int.max, "Maximum number of tensors of a model."),
        Setting(
            "max-name-bytes",
            in: .structure,
            \.maximumNameBytes,
            1...Int.max,
            of: "bytes",
            "Maximum size in bytes of all tensor names of a model together."
        ),
        Setting(
            "max-name-length",
            in: .structure,
            \.maximumNameLength,
            1...Int.max,
            of: "bytes",
            "Maximum size in bytes of one name: of a tensor with its prefix, of a member, of a pattern."
        ),
        Setting(
            "max-rule-matches",
            in: .structure,
            \.maximumRuleMatches,
            1...Int.max,
            "Maximum number of rule × parameter comparisons."
        ),
        Setting(
            "max-steps",
            in: .structure,
            \.maximumSteps,
            0...Int.max,
            "Maximum number of steps of a model; a step on several tensors counts once for each."
        ),
        Setting(
            "max-literal-bytes",
            in: .requests,
            \.maximumLiteralBytes,
            0...Int.max,
            of: "bytes",
            "Maximum size in bytes of all literals of a request (data), decompressed."
        ),
        // Each overlay takes a piece of a thread's stack.
        Setting(
            "max-overlays",
            in: .structure,
            \.maximumOverlays,
            1...4096,
            "Maximum number of draws, copies and changes of different blocks of one tensor, including those of tensors it copies."
        ),
        // Each level takes a piece of a thread's stack.
        Setting(
            "max-nesting",
            in: .structure,
            \.maximumNesting,
            1...60,
            "Maximum depth of blocks of layers within blocks."
        ),
        Setting(
            "max-propagated-weights",
            in: .requests,
            \.maximumPropagatedWeights,
            1...Int.max,
            "Maximum number of weights drawn by the runs of /propagate."
        ),
    ]
}
