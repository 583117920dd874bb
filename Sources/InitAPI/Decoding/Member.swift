internal import ByteText
import WeightInit

/// A member of a request: one row of a table that the decoder, the catalogue and the errors share.
///
/// A class, because rows never change, and copying a reference costs less than copying a row.
final class Member: Sendable {
    enum Kind: Sendable, Equatable {
        case parameter(Parameter.Kind)
        case shape
        case seed
        /// A block of a tensor, in NumPy's notation.
        case slice
        /// Any text; the question that decodes the request checks it.
        case word
        /// A list or an object, which separate code reads.
        case structure
    }

    let name: Text
    let aliases: [Text]
    let kind: Kind
    /// The default as a client would write it; `nil` if there is none.
    let defaultValue: ParameterValue?
    /// The default as a query writes it.
    let defaultText: Text?
    let isRequired: Bool
    /// `true` if `null` is accepted.
    let isOptional: Bool
    /// Other spellings of the member's words, if there are any.
    let spellings: OtherSpellings?
    let summary: String

    init(
        _ name: Text,
        aliases: [Text] = [],
        _ kind: Kind,
        default defaultValue: ParameterValue? = nil,
        isRequired: Bool = false,
        isOptional: Bool = false,
        spellings: OtherSpellings? = nil,
        _ summary: String
    ) {
        self.name = name
        self.aliases = aliases
        self.kind = kind
        self.defaultValue = defaultValue
        defaultText = defaultValue?.queryText
        self.isRequired = isRequired
        self.isOptional = isOptional
        self.spellings = spellings
        self.summary = summary
    }
}

extension Member {
    /// A member for a parameter. It is required if it has no default and does not accept `null`.
    convenience init(_ parameter: Parameter) {
        let isOfGain =
            if case .choice(let words, _) = parameter.kind { words == Nonlinearity.torchNames } else { false }
        self.init(
            parameter.name,
            aliases: parameter.aliases,
            .parameter(parameter.kind),
            default: parameter.defaultValue,
            isRequired: parameter.defaultValue == nil && !parameter.isOptional,
            isOptional: parameter.isOptional,
            spellings: isOfGain ? .ofNonlinearity : nil,
            parameter.summary
        )
    }

    /// `true` for the name and the aliases.
    func isNamed(_ name: Text) -> Bool { name == self.name || !aliases.isEmpty && aliases.contains(name) }

    /// The same member, not required.
    var optional: Member {
        Member(
            name,
            aliases: aliases,
            kind,
            default: defaultValue,
            isOptional: isOptional,
            spellings: spellings,
            summary
        )
    }

    /// The same member, which also accepts `null`.
    var takingNull: Member {
        Member(
            name,
            aliases: aliases,
            kind,
            default: defaultValue,
            isRequired: isRequired,
            isOptional: true,
            spellings: spellings,
            summary
        )
    }

    /// A member whose value is an element type, by its name or an alias.
    static func dtype(
        _ name: Text = "dtype",
        among types: [DType],
        default defaultValue: DType? = .float32,
        _ summary: String
    ) -> Member {
        .choice(
            name,
            types.map(\.word),
            default: defaultValue?.word,
            spellings: OtherSpellings(words: types.flatMap(\.aliases)) { DType.named($0)?.word },
            summary
        )
    }

    static func choice(
        _ name: Text,
        _ words: [Text],
        default defaultValue: Text? = nil,
        spellings: OtherSpellings? = nil,
        _ summary: String
    ) -> Member {
        Member(
            name,
            .parameter(.choice(words)),
            default: defaultValue.map(ParameterValue.text),
            spellings: spellings,
            summary
        )
    }

    /// The value in the member's type: shapes become `integers`; seeds, slices and words become `text`. The path of an
    /// error starts at the value.
    ///
    /// - Parameter dtype: The dtype of a layer inside the value if that layer names none.
    func decode(_ value: RequestValue, dtype: DType) throws(InitError) -> ParameterValue {
        if isOptional, value == .json(.null) || value == .text("null") {
            return kind == .parameter(.boolean) ? .boolean(false) : .null
        }
        return switch kind {
        case .shape: .integers(try value.dimensions())
        case .seed: .text(Text(try value.seed().description))
        case .slice: .text(Text(try value.slice().description))
        case .word: .text(try value.word())
        case .parameter(.boolean): .boolean(try value.boolean())
        case .parameter(.integer): .integer(try value.integer())
        case .parameter(.number): .number(try value.number())
        case .parameter(.scalar): try value.scalar()
        case .parameter(.text): .text(try value.word())
        case .parameter(.choice(let words, let ignoresCase)):
            .text(try value.choice(words, ignoresCase: ignoresCase, spellings: spellings))
        case .parameter(.gain): .gain(try value.gain())
        case .parameter(.integers(let count)): try value.integers(count: count)
        case .parameter(.layer): .layer(try value.members().layer(dtype: dtype))
        case .parameter(.numbers): try value.numbers()
        case .parameter(.onlyDefault): try value.onlyDefault(defaultValue ?? .null)
        case .parameter(.any): value.anything()
        case .structure: .null
        }
    }
}

/// Spellings of a member's words besides the words themselves.
struct OtherSpellings: Sendable {
    /// Spellings that an error may suggest.
    var words: [Text] = []
    /// The word for a spelling; `nil` if it is none.
    var canonicalWord: @Sendable (Text) -> Text? = { _ in nil }
    /// The error message for a word that belongs to another member; `nil` for other words.
    var elsewhere: @Sendable (Text) -> String? = { _ in nil }

    /// Activations that have a gain here, but none in PyTorch.
    static let ofNonlinearity = OtherSpellings(elsewhere: { name in
        Nonlinearity.named(name).map { _ in
            "\(name.quotedForMessage) has no gain in PyTorch; give gain=\(name) in place of nonlinearity"
        }
    })
}
