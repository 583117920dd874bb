import TensorFormats
import WeightInit

/// What requests may hold, apart from the methods' own parameters.
enum MemberTable {
    static let method = Member(name: "method", kind: .word, isRequired: true, summary: "how the tensor is initialised")
    static let shape = Member(
        name: "shape",
        kind: .shape,
        isRequired: true,
        summary: "the sizes, outermost first; [] is a scalar"
    )
    static let seed = Member(
        name: "seed",
        kind: .seed,
        defaultValue: .text("0"),
        summary: "an integer from −2^63 to 2^64 − 1, as a number or a string; the low 32 bits count"
    )
    static let dtype = Member.choice(
        "dtype",
        DType.requestable.map(\.rawValue),
        default: DType.float32.rawValue,
        "the type of the elements"
    )
    static let format = Member.choice(
        "format",
        TensorFormat.offered.map(\.rawValue),
        "the form of the reply; wins over Accept"
    )

    static let slice = Member(
        name: "slice",
        kind: .slice,
        defaultValue: .text(""),
        summary: "the block that is wanted, as NumPy writes it without steps: 0:512,:,-3:"
    )

    /// A request for one tensor, without the method's parameters.
    static let tensor = [method, shape, seed, dtype, slice]

    /// What may stand in a request for one tensor besides the method's parameters, the form of the reply included.
    static let formattedTensor = tensor + [format]

    private static let ofMethods = Dictionary(
        uniqueKeysWithValues: InitMethod.all.map { ($0.name, $0.parameters.map(Member.init)) }
    )
    private static let ofLayers = Dictionary(
        uniqueKeysWithValues: LayerType.all.map { ($0.name, $0.parameters.map(Member.init)) }
    )

    /// A method's own parameters.
    static func parameters(of method: InitMethod) -> [Member] { ofMethods[method.name] ?? [] }

    /// The arguments of a layer's constructor.
    static func parameters(of type: LayerType) -> [Member] { ofLayers[type.name] ?? [] }

    // MARK: Models

    static let name = Member(
        name: "name",
        kind: .word,
        summary: "what its parameters' names begin with; its index by default"
    )
    static let layers = Member(
        name: "layers",
        kind: .structure,
        summary: "the entries, built in order: layers, or blocks with layers of their own"
    )
    static let rules = Member(
        name: "rules",
        kind: .structure,
        summary: "what is initialised anew, and how; the first rule that matches a parameter counts"
    )

    /// What every entry in a list of layers may hold.
    static let entry = [
        name,
        Member(
            name: "repeat",
            kind: .parameter(.integer),
            summary: "how often it is built; {} in its name is the index"
        ),
        rules,
    ]

    /// An entry that is made of others.
    static let block = entry + [layers, dtype]

    /// A tensor without a module, without the method and its parameters.
    static let bareTensor = [name, method.optional, shape, dtype]

    /// A rule, without the method's parameters.
    static let rule = [
        Member(name: "type", kind: .word, summary: "a class of torch.nn, as isinstance takes it"),
        Member(name: "parameter", kind: .word, summary: "a pattern over the parameter's name in its module"),
        Member(name: "name", kind: .word, summary: "a pattern over the parameter's whole name"),
        Member(name: "method", kind: .word, isRequired: true, summary: "a method, or skip, which leaves what is there"),
    ]

    /// A request for a layer, a model or a list of tensors.
    static func model(_ form: ModelRequest.Form) -> [Member] {
        let what =
            switch form {
            case .layers: layers
            case .layer: Member(name: "layer", kind: .structure, summary: "one layer; names have no prefix")
            case .tensors: Member(name: "tensors", kind: .structure, summary: "tensors, drawn one after the other")
            }
        let defaults = Member(
            name: "defaults",
            kind: .parameter(.boolean),
            defaultValue: .boolean(true),
            summary: "whether layers initialise themselves; where not, what they would draw is 0"
        )
        return [
            seed, dtype,
            .choice(
                "seeding",
                ModelRequest.Seeding.allCases.map(\.rawValue),
                default: ModelRequest.Seeding.stream.rawValue,
                "one generator for all tensors, or one for each, seeded from its name"
            ),
        ] + (form == .tensors ? [] : [defaults]) + [
            what, rules,
            Member(name: "tie", kind: .structure, summary: "other names of parameters, and which: {name: target}"),
            Member(name: "slices", kind: .structure, summary: "the blocks that are wanted of tensors: {name: slice}"),
        ]
    }

    static let gain = [
        Member(name: "nonlinearity", kind: .word, summary: "the activation; without it, the whole table"),
        Member(
            name: "param",
            kind: .parameter(.number),
            isOptional: true,
            summary:
                "what shapes the activation, such as the slope of leaky_relu; ignored where nothing does, as in PyTorch"
        ),
    ]

    /// A request for the variances in a stack of layers, without the method's parameters.
    static let propagate = [
        Member(name: "depth", kind: .parameter(.integer), defaultValue: .integer(16), summary: "layers"),
        Member(
            name: "width_in",
            kind: .parameter(.integer),
            defaultValue: .integer(512),
            summary: "elements of the stack's input"
        ),
        Member(
            name: "width_out",
            kind: .parameter(.integer),
            defaultValue: .integer(128),
            summary: "elements of its output; the widths between are a geometric sequence"
        ),
        Member(
            name: "nonlinearity",
            kind: .word,
            defaultValue: .text("relu"),
            summary: "the activation behind every weight"
        ),
        gain[1],
        Member(
            name: "method",
            kind: .word,
            defaultValue: .text("kaiming_normal"),
            summary: "how the weights are initialised; kaiming takes the activation's gain unless it is given one"
        ),
        seed,
        Member(
            name: "runs",
            kind: .parameter(.integer),
            defaultValue: .integer(8),
            summary: "stacks that are made and run through; 0 is theory alone"
        ),
    ]

    static let gainArgument = [
        Member(name: "nonlinearity", kind: .word, isRequired: true, summary: "the activation"),
        gain[1],
    ]

    static let fan = [
        shape,
        .choice("mode", Fan.Mode.allCases.map(\.rawValue), "adds the fan of this mode"),
        Member(
            name: "groups",
            kind: .parameter(.integer),
            defaultValue: .integer(1),
            summary: "groups of the convolution; adds the effective fans"
        ),
        Member(
            name: "transposed",
            kind: .parameter(.boolean),
            defaultValue: .boolean(false),
            summary: "whether the convolution is transposed; adds the effective fans"
        ),
        .choice(
            "layout",
            Fan.Layout.allCases.map(\.rawValue),
            default: Fan.Layout.torch.rawValue,
            "where the channels are: torch [out, in, k…], keras [k…, in, out]"
        ),
    ]
}

extension TensorFormat {
    /// In the order of preference where a client has none.
    static let offered: [TensorFormat] = [.json, .raw, .npy, .safetensors, .summary]
}
