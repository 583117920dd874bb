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

    /// A request for one tensor, without the method's parameters.
    static let tensor = [method, shape, seed, dtype]

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
