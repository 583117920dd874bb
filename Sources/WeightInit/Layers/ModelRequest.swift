public import ByteText

/// A request for a model: modules built in order, rules that initialise their parameters again, and steps.
public struct ModelRequest: Sendable, Equatable {
    /// One generator for the whole model, or one for each tensor.
    public enum Seeding: String, CaseIterable, Sendable {
        /// One generator for the whole model, as in a PyTorch program.
        case stream
        /// A generator for each tensor, seeded from the request's seed and the tensor's name.
        case perTensor = "per_tensor"
    }

    /// The member of a request that lists its tensors.
    public enum Form: String, CaseIterable, Sendable {
        case layers
        /// One layer, whose parameters' names have no prefix.
        case layer
        /// Tensors without modules.
        case tensors

        func path(_ index: Int) -> [Text] {
            self == .layer ? [word] : [word, Text(index)]
        }
    }

    public var form: Form
    public var entries: [ModelEntry]
    public var rules: Rules
    public var ties: [Tie] = []
    /// `true` if modules initialise themselves when they are built. If `false`, they draw nothing: parameters that they
    /// would draw are 0.
    public var usesDefaults = true
    public var seeding = Seeding.stream
    /// The requested blocks of tensors, by the tensors' names; a tensor without a block is sent whole.
    public var slices: [Text: Slice] = [:]
    /// Steps that are performed in order after the entries have been built and the rules applied.
    public var steps: [Step] = []
    /// The floating-point type in which tensors are sent; `nil` for their own. Integers keep their type.
    public var cast: DType?
    /// Patterns for the names of the tensors that are sent; without patterns, the whole state dict is sent.
    public var include: [Glob] = []

    public init(form: Form = .layers, entries: [ModelEntry], rules: Rules = Rules()) {
        self.form = form
        self.entries = entries
        self.rules = rules
    }
}

/// A second name for a tensor. It replaces a tensor that had this name before.
public struct Tie: Sendable, Equatable {
    public var name: Text
    public var target: Text

    public init(name: Text, target: Text) {
        self.name = name
        self.target = target
    }
}

/// One item in the list of modules that make up a model or a block.
public struct ModelEntry: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        case layer(LayerRequest)
        /// A parameter without its own module.
        case parameter(TensorRequest)
        case block([ModelEntry])
    }

    /// Prefix of the entry's parameters' names; `nil` for the entry's index in the list, empty for none.
    public var name: Text?
    public var content: Content
    /// Number of times that the entry is built, each with its index as a further prefix; `nil` for once, without an
    /// index.
    public var repetitions: Int?
    /// Rules that are applied to this entry's modules before the next entry is built.
    public var rules = Rules()
    /// The floating-point type in which the entry's tensors are sent; `nil` for the type of the list around it.
    public var cast: DType?

    public init(name: Text? = nil, content: Content) {
        self.name = name
        self.content = content
    }
}

/// A class of `torch.nn` with its constructor's arguments.
public struct LayerRequest: Sendable, Equatable {
    public var type: Text
    public var dtype: DType
    public var arguments: Arguments

    public init(type: Text, dtype: DType = .float32, arguments: Arguments = Arguments()) {
        self.type = type
        self.dtype = dtype
        self.arguments = arguments
    }
}

/// Passes over all parameters, one after the other; in each pass, the first rule that matches a parameter counts.
public struct Rules: Sendable, Equatable {
    public var passes: [[Rule]]
    /// `true` if the request writes the passes as a list of lists, so that a rule's path has two indices.
    public var isNested: Bool

    public init(passes: [[Rule]]) {
        self.passes = passes
        isNested = true
    }

    /// One pass.
    public init(_ rules: [Rule] = []) {
        passes = rules.isEmpty ? [] : [rules]
        isNested = false
    }

    /// Path of a rule, relative to the list of all rules.
    func path(pass: Int, rule: Int) -> [Text] {
        (isNested ? [Text(pass)] : []) + [Text(rule)]
    }
}

/// An action on all parameters that meet the conditions; a condition that is `nil` holds for all parameters.
public struct Rule: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        case initialize(method: InitMethod, arguments: Arguments)
        /// Leaves the parameter as it is.
        case skip
    }

    /// A module class as `isinstance` takes it, base classes included.
    public var type: Text?
    /// Matched against the parameter's name in its module.
    public var parameter: Glob?
    /// Matched against the parameter's name in the model.
    public var name: Glob?
    public var action: Action

    public init(type: Text? = nil, parameter: Glob? = nil, name: Glob? = nil, action: Action) {
        self.type = type
        self.parameter = parameter
        self.name = name
        self.action = action
    }
}

/// Place of a rule in a request.
public struct RuleReference: Sendable, Equatable {
    /// Names and indices from the request's root, as in ``InitError/path``.
    public let path: [Text]
}
