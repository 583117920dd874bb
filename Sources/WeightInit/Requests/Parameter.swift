public import ByteText

/// A client's value for a parameter.
public enum ParameterValue: Sendable, Equatable {
    /// `None` in PyTorch.
    case null
    case boolean(Bool)
    case integer(Int)
    case number(Double)
    case text(Text)
    indirect case gain(GainArgument)
    /// A tuple of integers, such as `kernel_size=(3, 3)`. A single integer is an `integer`.
    case integers([Int])
    /// A list of numbers. A single number is a `number`.
    case numbers([Double])
    indirect case layer(LayerRequest)
}

/// A parameter of a method or a layer besides shape, dtype and seed: a row of the table that the decoder, the catalogue
/// and the documentation share.
///
/// A class, because rows never change, and copying a reference costs less than copying a row.
public final class Parameter: Sendable {
    public enum Kind: Sendable, Equatable {
        case boolean
        case integer
        /// A float64; also `inf`, `-inf` and `nan` if PyTorch takes them.
        case number
        /// A number for elements of any type: an integer of 64 bits, or a float64 as above.
        case scalar
        /// Any text.
        case text
        /// One of these words.
        case choice([Text], ignoresCase: Bool = false)
        /// A number, or an activation with its parameter.
        case gain
        /// A list of integers. With `count`, the list has this length, or a single integer stands for all of them.
        case integers(count: Int?)
        /// A number, or a list of them.
        case numbers
        /// Only the default, because JSON cannot represent other values, such as a tensor or a process group.
        case onlyDefault
        /// Another layer, such as the one that `TransformerEncoder` copies.
        case layer
        /// Any value, because it does not affect the initial weights.
        case any
    }

    public let name: Text
    public let aliases: [Text]
    public let kind: Kind
    /// The default; `nil` if the parameter is required.
    public let defaultValue: ParameterValue?
    /// `true` if `null` is accepted, for PyTorch's `None`.
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

    /// The same parameter, which also accepts `null`.
    var takingNull: Parameter {
        Parameter(name, kind, default: defaultValue, aliases: aliases, optional: true, summary)
    }

    /// A parameter that a request may name, but only with the default as its value.
    static func onlyDefault(_ name: Text, _ defaultValue: ParameterValue = .null) -> Parameter {
        Parameter(name, .onlyDefault, default: defaultValue, optional: defaultValue == .null)
    }
}
