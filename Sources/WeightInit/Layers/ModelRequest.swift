public import ByteText

/// A model to be made: modules built in order, then rules that initialise their parameters anew.
public struct ModelRequest: Sendable, Equatable {
    /// Source of the seed of every tensor's generator.
    public enum Seeding: String, CaseIterable, Sendable {
        /// One generator, drawn on through the whole model, as in a PyTorch program.
        case stream
        /// A generator for every tensor, seeded from the request's seed and the tensor's name.
        case perTensor = "per_tensor"
    }

    /// How a request lists what it wants; the names of its members.
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
    /// `true` if modules initialise themselves when they are built; where not, nothing is drawn then.
    public var usesDefaults = true
    public var seeding = Seeding.stream
    /// The blocks that are wanted of tensors, by their names; all of a tensor without one.
    public var slices: [Text: Slice] = [:]
    /// Done in order after the entries have been built and the rules applied.
    public var steps: [Step] = []
    /// The floating-point type in which tensors are sent; `nil` for their own. Integers stay what they are.
    public var cast: DType?
    /// Patterns of the names that are sent; all if there are none.
    public var include: [Glob] = []

    public init(form: Form = .layers, entries: [ModelEntry], rules: Rules = Rules()) {
        self.form = form
        self.entries = entries
        self.rules = rules
    }
}

/// A second name for a tensor. The tensor that had that name, if there was one, is gone.
public struct Tie: Sendable, Equatable {
    public var name: Text
    public var target: Text

    public init(name: Text, target: Text) {
        self.name = name
        self.target = target
    }
}

/// One item in the list of modules that a model, or a block of it, is built of.
public struct ModelEntry: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        case layer(LayerRequest)
        /// A parameter without a module of its own.
        case parameter(TensorRequest)
        case block([ModelEntry])
    }

    /// Prefix of its parameters' names; `nil` for its index in the list, empty for none.
    public var name: Text?
    public var content: Content
    /// Number of times that the entry is built, each with its index as a further prefix; `nil` for once, without one.
    public var repetitions: Int?
    /// Applied to what has been built of this entry, before the next is built.
    public var rules = Rules()
    /// The floating-point type in which its tensors are sent; `nil` for that of the list around it.
    public var cast: DType?

    public init(name: Text? = nil, content: Content) {
        self.name = name
        self.content = content
    }
}

/// A module of `torch.nn` with its constructor's arguments.
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

/// Passes over all parameters, one after the other; in each, the first rule that matches a parameter counts.
public struct Rules: Sendable, Equatable {
    public var passes: [[Rule]]
    /// `true` if they are written as a list of lists, which shows in the rules' paths.
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

    /// Path of a rule, seen from all of them.
    func path(pass: Int, rule: Int) -> [Text] {
        (isNested ? [Text(pass)] : []) + [Text(rule)]
    }
}

/// Which parameters to initialise anew, and how; each condition that is `nil` holds for all.
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
