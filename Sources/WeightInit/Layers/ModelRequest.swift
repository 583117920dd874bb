/// A model to be made: modules built in order, then rules that initialise their parameters anew.
public struct ModelRequest: Sendable, Equatable {
    /// What every tensor's generator is seeded from.
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

        func path(_ index: Int) -> [String] {
            self == .layer ? [rawValue] : [rawValue, String(index)]
        }
    }

    public var form: Form
    public var entries: [ModelEntry]
    public var rules: Rules
    public var ties: [Tie]
    /// Whether modules initialise themselves when they are built; where not, nothing is drawn then.
    public var usesDefaults: Bool
    public var seeding: Seeding
    /// The blocks that are wanted of tensors, by their names, where that is not all of them.
    public var slices: [String: Slice]

    public init(
        form: Form = .layers,
        entries: [ModelEntry],
        rules: Rules = Rules(),
        ties: [Tie] = [],
        usesDefaults: Bool = true,
        seeding: Seeding = .stream,
        slices: [String: Slice] = [:]
    ) {
        self.form = form
        self.entries = entries
        self.rules = rules
        self.ties = ties
        self.usesDefaults = usesDefaults
        self.seeding = seeding
        self.slices = slices
    }
}

/// A second name for a parameter: what had that name is gone.
public struct Tie: Sendable, Equatable {
    public var name: String
    public var target: String

    public init(name: String, target: String) {
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
    public var name: String?
    public var content: Content
    /// Where given, the entry is built that many times, each with its index as a further prefix.
    public var repetitions: Int?
    /// Applied to what has been built of this entry, before the next is built.
    public var rules: Rules

    public init(name: String? = nil, content: Content, repetitions: Int? = nil, rules: Rules = Rules()) {
        self.name = name
        self.content = content
        self.repetitions = repetitions
        self.rules = rules
    }
}

/// A module of `torch.nn` with its constructor's arguments.
public struct LayerRequest: Sendable, Equatable {
    public var type: String
    public var dtype: DType
    public var arguments: Arguments

    public init(type: String, dtype: DType = .float32, arguments: Arguments = Arguments()) {
        self.type = type
        self.dtype = dtype
        self.arguments = arguments
    }
}

/// Passes over all parameters, one after the other; in each, the first rule that matches a parameter counts.
public struct Rules: Sendable, Equatable {
    public var passes: [[Rule]]
    /// Whether they are written as a list of lists, which shows in the rules' paths.
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

    /// Where a rule is, seen from all of them.
    func path(pass: Int, rule: Int) -> [String] {
        (isNested ? [String(pass)] : []) + [String(rule)]
    }
}

/// Which parameters to initialise anew, and how; each condition that is `nil` holds for all.
public struct Rule: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        /// Canonical name of a method.
        case initialize(method: String, arguments: Arguments)
        /// Leaves the parameter as it is.
        case skip
    }

    /// A module class as `isinstance` takes it, base classes included.
    public var type: String?
    /// Matched against the parameter's name in its module.
    public var parameter: Glob?
    /// Matched against the parameter's name in the model.
    public var name: Glob?
    public var action: Action

    public init(type: String? = nil, parameter: Glob? = nil, name: Glob? = nil, action: Action) {
        self.type = type
        self.parameter = parameter
        self.name = name
        self.action = action
    }
}

/// Where a rule stands in a request.
public struct RuleReference: Sendable, Equatable {
    /// Names and indices from the request's root, as in ``InitError/path``.
    public let path: [String]
}
