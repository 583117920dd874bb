public import ByteText

/// A class of `torch.nn`: a row of the table that the decoder, the catalogue and the models share.
public struct LayerType: Sendable {
    public let name: Text
    /// The class's base classes, nearest first, without `Module`.
    public let bases: [Text]
    /// The constructor's arguments, without `dtype`.
    public private(set) var parameters: [Parameter]
    /// `true` if the class can have parameters or buffers.
    public let hasState: Bool
    /// `true` if the constructor takes and ignores all arguments.
    public let acceptsAnyArgument: Bool
    /// Builds the module, with the constructor's draws in the constructor's order.
    let build: @Sendable (inout LayerBuilder, LayerArguments) throws(InitError) -> Module

    init(
        _ name: Text,
        bases: [Text] = [],
        _ parameters: [Parameter],
        hasState: Bool = true,
        acceptsAnyArgument: Bool = false,
        takesDevice: Bool? = nil,
        strictFlags: Set<Text> = [],
        build: @escaping @Sendable (inout LayerBuilder, LayerArguments) throws(InitError) -> Module
    ) {
        self.name = name
        self.bases = bases
        self.parameters = parameters.map { parameter in
            // In Python, None is a false flag, unless the constructor checks the flag's type.
            parameter.kind == .boolean && !strictFlags.contains(parameter.name) ? parameter.takingNull : parameter
        }
        if takesDevice ?? hasState { self.parameters.append(LayerType.device) }
        self.hasState = hasState
        self.acceptsAnyArgument = acceptsAnyArgument
        self.build = build
    }

    /// The only device, because the generator is PyTorch's generator for CPUs.
    private static let device = Parameter("device", .choice(["cpu"]), default: .null, optional: true)

    public static let all: [LayerType] =
        linearLayers + convolutions + recurrentLayers + embeddings + normalizations + attentionLayers
        + layersWithoutParameters

    /// Looks up a class by its name, with or without the prefix `nn.` or `torch.nn.`.
    public static func named(_ name: Text) -> LayerType? {
        byName[name] ?? byName[withoutModule(name)]
    }

    /// The name of a class without PyTorch's module: `Linear` for `torch.nn.Linear`.
    public static func withoutModule(_ name: Text) -> Text {
        name.removing(prefix: "torch.nn.") ?? name.removing(prefix: "nn.") ?? name
    }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// The classes that a rule's `type` can name: the classes of the table and their base classes.
    static let classNames: [Text] = {
        let bases = Set(all.flatMap(\.bases)).subtracting(all.map(\.name)).sorted()
        return all.map(\.name) + bases + ["Module"]
    }()
}

/// A constructor's arguments, with the checks that PyTorch makes.
struct LayerArguments {
    private let arguments: BoundArguments
    let dtype: DType

    init(_ arguments: BoundArguments, dtype: DType) {
        self.arguments = arguments
        self.dtype = dtype
    }

    /// A number of features, channels, …: an integer that can be a tensor's dimension.
    func size(_ name: Text, atLeast least: Int = 0) throws(InitError) -> Int {
        let size = try arguments.integer(name)
        guard size >= least else {
            throw .refused(name, least == 0 ? "\(size) is negative" : "must be at least \(least), not \(size)")
        }
        return size
    }

    /// A number of copies: Python's `range` of a negative number is empty.
    func count(_ name: Text) throws(InitError) -> Int {
        max(0, try arguments.integer(name))
    }

    func integer(_ name: Text) throws(InitError) -> Int {
        try arguments.integer(name)
    }

    func optionalInteger(_ name: Text) throws(InitError) -> Int? {
        arguments.value(name) == .null ? nil : try arguments.integer(name)
    }

    func number(_ name: Text) throws(InitError) -> Double {
        try arguments.number(name)
    }

    func boolean(_ name: Text) throws(InitError) -> Bool {
        try arguments.boolean(name)
    }

    func text(_ name: Text) throws(InitError) -> Text {
        try arguments.text(name)
    }

    /// A list of integers; a single integer stands for a list of `count` equal ones, and without `count` for a list of
    /// one.
    func integers(_ name: Text, count: Int? = nil) throws(InitError) -> [Int] {
        switch arguments.value(name) {
        case .integer(let integer):
            return [Int](repeating: integer, count: count ?? 1)
        case .integers(let integers) where integers.count == count ?? integers.count:
            return integers
        default:
            throw .invalid(name, count.map { "is not an integer or a list of \($0)" } ?? "is not a list of integers")
        }
    }

    /// A list of sizes, written as for ``integers(_:count:)``.
    func sizes(_ name: Text, count: Int? = nil) throws(InitError) -> [Int] {
        let sizes = try integers(name, count: count)
        if let negative = sizes.first(where: { $0 < 0 }) { throw .refused(name, "\(negative) is negative") }
        return sizes
    }

    func layer(_ name: Text) throws(InitError) -> LayerRequest? {
        switch arguments.value(name) {
        case .null: nil
        case .layer(let layer): layer
        default: throw .invalid(name, "is not a layer")
        }
    }

    func value(_ name: Text) -> ParameterValue {
        arguments.value(name)
    }

    /// A product of sizes.
    ///
    /// - Throws: `tooLarge` past 2^63 − 1.
    func product(_ factors: Int..., of name: Text) throws(InitError) -> Int {
        var product = 1
        for factor in factors {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            guard !overflow else { throw .tooLarge(name, "the size of a parameter is over 2^63 − 1") }
            product = next
        }
        return product
    }

    /// Checks the probability of a dropout.
    func checkProbability(_ name: Text) throws(InitError) {
        let probability = try number(name)
        guard (0...1).contains(probability) else {
            throw .refused(name, "a probability is between 0 and 1, not \(probability)")
        }
    }
}

extension Shape {
    /// The shape of a parameter.
    init(_ dimensions: Int..., of parameter: Text) throws(InitError) {
        try self.init(dimensions, parameter: parameter)
    }
}
