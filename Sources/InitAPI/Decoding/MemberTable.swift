internal import ByteText
import TensorFormats
import WeightInit

/// Members of requests, apart from the methods' own parameters.
enum MemberTable {
    static let method = Member("method", .word, isRequired: true, "how the tensor is initialised")
    static let shape = Member("shape", .shape, isRequired: true, "the sizes, outermost first; [] is a scalar")
    static let seed = Member(
        "seed",
        .seed,
        default: .text("0"),
        "an integer from −2^63 to 2^64 − 1, as a number or a string; the low 32 bits count"
    )
    static let dtype = Member.dtype(among: DType.requestable, "the type of the elements")
    /// The `dtype` of a layer, for which `null` is PyTorch's default.
    static let layerDtype = dtype.takingNull
    static let format = Member.choice(
        "format",
        TensorFormat.all.map(\.name),
        "the format of the reply; overrides Accept"
    )
    static let digest = Member.choice(
        "digest",
        ["sha256"],
        "asks for the digest of the body: /explain computes it for the format, /init sends it if it is known"
    )

    /// Members that choose the reply, not the tensors.
    static let reply = [format, digest]

    static let slice = Member(
        "slice",
        .slice,
        default: .text(""),
        "the block to send, in NumPy notation without steps: 0:512,:,-3:"
    )

    /// A request for one tensor, without the method's parameters.
    static let tensor = [method, shape, seed, dtype, cast, slice]

    /// Members of a request for one tensor besides the method's parameters, including those that choose the reply.
    static let askedTensor = tensor + reply

    /// Members of a request for one tensor with a certain method.
    struct OfMethod: Sendable {
        /// The method's parameters.
        let parameters: [Member]
        /// All members, including those that choose the reply.
        let asked: [Member]

        fileprivate init(_ method: InitMethod) {
            parameters = method.parameters.map(Member.init)
            asked = MemberTable.askedTensor + parameters
        }
    }

    private static let ofMethods = Dictionary(
        uniqueKeysWithValues: (InitMethod.all + InitMethod.literals).map { ($0.name, OfMethod($0)) }
    )
    private static let ofChanges = Dictionary(
        uniqueKeysWithValues: ChangeMethod.all.map { ($0.name, $0.parameters.map(Member.init)) }
    )
    private static let ofLayers = Dictionary(
        uniqueKeysWithValues: LayerType.all.map { ($0.name, $0.parameters.map(Member.init)) }
    )

    /// A method's parameters.
    static func parameters(of method: InitMethod) -> [Member] { members(with: method).parameters }

    static func members(with method: InitMethod) -> OfMethod { ofMethods[method.name] ?? OfMethod(method) }

    /// The parameters of a step's method.
    static func parameters(of method: Step.Method) -> [Member] {
        switch method {
        case .initialize(let method): parameters(of: method)
        case .change(let method): ofChanges[method.name] ?? []
        }
    }

    /// The arguments of a layer's constructor.
    static func parameters(of type: LayerType) -> [Member] { ofLayers[type.name] ?? [] }

    // MARK: Models

    static let name = Member("name", .word, "the prefix of its parameters' names; its index by default")
    static let layers = Member(
        "layers",
        .structure,
        "the entries, built in order: layers, or blocks with layers of their own"
    )
    static let rules = Member(
        "rules",
        .structure,
        "rules that initialise parameters anew; the first rule that matches a parameter applies"
    )

    static let cast = Member.dtype(
        "cast",
        among: DType.requestable,
        default: nil,
        "the type in which elements are sent, as module.to(dtype) rounds them; integers stay as they are"
    )

    /// Members of every entry in a list of layers.
    static let entry = [
        name, cast,
        Member("repeat", .parameter(.integer), "the number of times that it is built; {} in its name is the index"),
        rules,
    ]

    /// Members of a block: an entry that is made of other entries.
    static let block = entry + [layers, dtype]

    /// Members of a tensor without a module, apart from the method's parameters.
    static let bareTensor = [
        name, method.optional, shape, anyDtype, cast,
        Member(
            "persistent",
            .parameter(.boolean),
            default: .boolean(true),
            "whether the state dict has it; if not, it is sent only if include names it"
        ),
    ]

    private static let anyDtype = Member.dtype(
        among: DType.allCases,
        "the type of the elements; integers and booleans only for methods that draw nothing"
    )

    /// Members of a step, without the method's parameters.
    static let step = [
        Member(
            "tensor",
            .structure,
            "the tensor that the step changes, or a list of tensors; without one, a draw is discarded"
        ),
        Member(
            "slice",
            .word,
            "the block of the tensor, in NumPy notation without steps; an index selects one row: 1 or 20:40"
        ),
        Member("shape", .shape, "the sizes of a draw that is discarded"),
        anyDtype.optional,
        Member("method", .word, isRequired: true, "a method, or a change of the elements that are there"),
    ]

    /// Members of a rule, without the method's parameters.
    static let rule = [
        Member("type", .word, "a class of torch.nn, as isinstance takes it"),
        Member("parameter", .word, "a pattern over the parameter's name in its module"),
        Member("name", .word, "a pattern over the parameter's whole name"),
        Member("method", .word, isRequired: true, "a method, or skip, which leaves the parameter as it is"),
    ]

    /// Members of a request for a layer, a model or a list of tensors.
    static func model(_ form: ModelRequest.Form) -> [Member] {
        let what =
            switch form {
            case .layers: layers
            case .layer: Member("layer", .structure, "one layer; names have no prefix")
            case .tensors: Member("tensors", .structure, "tensors, drawn one after the other")
            }
        let defaults = Member(
            "defaults",
            .parameter(.boolean),
            default: .boolean(true),
            "whether layers initialise themselves; if not, the elements that they would draw are 0"
        )
        return [
            seed, dtype,
            .choice(
                "seeding",
                ModelRequest.Seeding.words,
                default: ModelRequest.Seeding.stream.word,
                "one generator for all tensors, or one for each, seeded from its name"
            ),
        ] + (form == .tensors ? [] : [defaults]) + [
            what, rules,
            Member("tie", .structure, "parameters that share another parameter's tensor: {name: target}"),
            slices,
            Member(
                "steps",
                .structure,
                "changes of tensors after entries and rules, in order, on the same generator"
            ),
            cast,
            include,
            Member("description", .word, "a note, which changes nothing"),
        ]
    }

    static let slices = Member("slices", .structure, "the blocks of tensors to send: {name: slice}")
    static let include = Member("include", .structure, "patterns of the names to send; all by default")

    /// The parameter of an activation.
    static let activationParam = Member(
        "param",
        .parameter(.number),
        isOptional: true,
        "the activation's parameter, such as the slope of leaky_relu; ignored by activations without one, as in PyTorch"
    )
}
