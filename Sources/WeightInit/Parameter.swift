/// A value that a client gave for a parameter, of the type the parameter has.
public indirect enum ParameterValue: Sendable, Equatable {
    /// `None` in PyTorch.
    case null
    case boolean(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    case gain(GainArgument)
    /// One integer where PyTorch also takes a tuple (`kernel_size=3`), or the tuple.
    case integers([Int])
    case layer(LayerRequest)
}

/// What a method, a layer or an activation takes besides shape, dtype and seed: one row of a table that the decoder, the
/// catalogue and the documentation share.
public struct Parameter: Sendable {
    public enum Kind: Sendable, Equatable {
        case boolean
        case integer
        /// A float64; also `inf`, `-inf` and `nan`, where PyTorch takes them.
        case number
        /// One of these words.
        case choice([String], ignoresCase: Bool = false)
        /// A number, or an activation with its parameter.
        case gain
        /// A list of integers; where `count` is given, of that many, or one integer that stands for all of them.
        case integers(count: Int?)
        /// Another layer, as `TransformerEncoder` takes the one it copies.
        case layer
        /// Anything: it changes no parameter.
        case any
    }

    public let name: String
    public let aliases: [String]
    public let kind: Kind
    /// `nil` where the parameter must be given.
    public let defaultValue: ParameterValue?
    /// Whether `null` is taken for PyTorch's `None`.
    public let isOptional: Bool
    /// One line for the catalogue.
    public let summary: String

    init(
        _ name: String,
        _ kind: Kind,
        default defaultValue: ParameterValue? = nil,
        aliases: [String] = [],
        optional: Bool = false,
        _ summary: String = ""
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.aliases = aliases
        isOptional = optional
        self.summary = summary
    }
}
