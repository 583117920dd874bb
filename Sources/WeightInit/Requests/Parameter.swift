public import ByteText

/// A value that a client gave for a parameter, of the type the parameter has.
public indirect enum ParameterValue: Sendable, Equatable {
    /// `None` in PyTorch.
    case null
    case boolean(Bool)
    case integer(Int)
    case number(Double)
    case text(Text)
    case gain(GainArgument)
    /// One integer where PyTorch also takes a tuple (`kernel_size=3`), or the tuple.
    case integers([Int])
    /// A list of numbers, where PyTorch also takes one.
    case numbers([Double])
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
        /// A number for elements of any type: an integer of 64 bits, or a float64 as above.
        case scalar
        /// Any text.
        case text
        /// One of these words.
        case choice([Text], ignoresCase: Bool = false)
        /// A number, or an activation with its parameter.
        case gain
        /// A list of integers; where `count` is given, of that many, or one integer that stands for all of them.
        case integers(count: Int?)
        /// A number, or a list of them.
        case numbers
        /// Nothing but the default, which stands for what JSON cannot say, such as a tensor or a process group.
        case onlyDefault
        /// Another layer, as `TransformerEncoder` takes the one it copies.
        case layer
        /// Anything: it changes no parameter.
        case any
    }

    public let name: Text
    public let aliases: [Text]
    public let kind: Kind
    /// `nil` where the parameter must be given.
    public let defaultValue: ParameterValue?
    /// `true` if `null` is taken for PyTorch's `None`.
    public let isOptional: Bool
    /// One line for the catalogue.
    public let summary: String

    init(
        _ name: Text,
        _ kind: Kind,
        default defaultValue: ParameterValue? = nil,
        aliases: [Text] = [],
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

    /// The same parameter, of which `null` is also a value.
    var takingNull: Parameter {
        Parameter(name, kind, default: defaultValue, aliases: aliases, optional: true, summary)
    }

    /// A parameter that a request may name, but not give another value than the default.
    static func onlyDefault(_ name: Text, _ defaultValue: ParameterValue = .null) -> Parameter {
        Parameter(name, .onlyDefault, default: defaultValue, optional: defaultValue == .null)
    }
}
