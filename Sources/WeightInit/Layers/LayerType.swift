/// A class of `torch.nn`: a row of the table that the decoder, the catalogue and the models share.
public struct LayerType: Sendable {
    public let name: String
    /// The classes it derives from, nearest first, without `Module`.
    public let bases: [String]
    /// Its constructor's arguments, without `device` and `dtype`.
    public let parameters: [Parameter]
    /// Whether it has parameters or buffers at all.
    public let hasState: Bool
    /// Whether its constructor takes, and ignores, whatever it is given.
    public let acceptsAnyArgument: Bool
    /// Draws what the constructor draws, in its order.
    let build: @Sendable (inout LayerBuilder, LayerArguments) throws(InitError) -> Module

    init(
        _ name: String,
        bases: [String] = [],
        _ parameters: [Parameter],
        hasState: Bool = true,
        acceptsAnyArgument: Bool = false,
        build: @escaping @Sendable (inout LayerBuilder, LayerArguments) throws(InitError) -> Module
    ) {
        self.name = name
        self.bases = bases
        self.parameters = parameters
        self.hasState = hasState
        self.acceptsAnyArgument = acceptsAnyArgument
        self.build = build
    }

    public static let all: [LayerType] =
        linearLayers + convolutions + recurrentLayers + embeddings + normalizations + attentionLayers
        + layersWithoutParameters

    public static func named(_ name: String) -> LayerType? {
        byName[name]
    }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// The classes that `isinstance` can be asked for: those of the table and those they derive from.
    static let classNames: [String] = {
        let bases = Set(all.flatMap(\.bases)).subtracting(all.map(\.name)).sorted()
        return all.map(\.name) + bases + ["Module"]
    }()
}

/// A constructor's arguments, and what PyTorch checks of them.
struct LayerArguments {
    private let arguments: BoundArguments
    let dtype: DType

    init(_ arguments: BoundArguments, dtype: DType) {
        self.arguments = arguments
        self.dtype = dtype
    }

    /// A number of features, channels, …: an integer that a tensor's dimension can be.
    func size(_ name: String, atLeast least: Int = 0) throws(InitError) -> Int {
        let size = try arguments.integer(name)
        guard size >= least else {
            throw .refused(name, least == 0 ? "\(size) is negative" : "must be at least \(least), not \(size)")
        }
        return size
    }

    /// A number of copies: Python's `range` of a negative number is empty.
    func count(_ name: String) throws(InitError) -> Int {
        max(0, try arguments.integer(name))
    }

    func integer(_ name: String) throws(InitError) -> Int {
        try arguments.integer(name)
    }

    func optionalInteger(_ name: String) throws(InitError) -> Int? {
        arguments.value(name) == .null ? nil : try arguments.integer(name)
    }

    func number(_ name: String) throws(InitError) -> Double {
        try arguments.number(name)
    }

    func boolean(_ name: String) throws(InitError) -> Bool {
        try arguments.boolean(name)
    }

    func text(_ name: String) throws(InitError) -> String {
        try arguments.text(name)
    }

    /// A list, or one integer that stands for `count` of them, or for itself.
    func integers(_ name: String, count: Int? = nil) throws(InitError) -> [Int] {
        switch arguments.value(name) {
        case .integer(let integer):
            return [Int](repeating: integer, count: count ?? 1)
        case .integers(let integers) where integers.count == count ?? integers.count:
            return integers
        default:
            throw .invalid(name, count.map { "is not an integer or a list of \($0)" } ?? "is not a list of integers")
        }
    }

    /// A list of sizes, as ``integers(_:count:)`` takes it.
    func sizes(_ name: String, count: Int? = nil) throws(InitError) -> [Int] {
        let sizes = try integers(name, count: count)
        if let negative = sizes.first(where: { $0 < 0 }) { throw .refused(name, "\(negative) is negative") }
        return sizes
    }

    func layer(_ name: String) throws(InitError) -> LayerRequest? {
        switch arguments.value(name) {
        case .null: nil
        case .layer(let layer): layer
        default: throw .invalid(name, "is not a layer")
        }
    }

    func value(_ name: String) -> ParameterValue {
        arguments.value(name)
    }

    /// A product of sizes.
    ///
    /// - Throws: `tooLarge` past 2^63 − 1.
    func product(_ factors: Int..., of name: String) throws(InitError) -> Int {
        var product = 1
        for factor in factors {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            guard !overflow else { throw .tooLarge(name, "the size of a parameter is over 2^63 − 1") }
            product = next
        }
        return product
    }

    /// The probability of a dropout.
    func checkProbability(_ name: String) throws(InitError) {
        let probability = try number(name)
        guard (0...1).contains(probability) else {
            throw .refused(name, "a probability is between 0 and 1, not \(probability)")
        }
    }
}

extension Shape {
    /// The shape of a parameter.
    init(_ dimensions: Int..., of parameter: String) throws(InitError) {
        try self.init(dimensions, parameter: parameter)
    }
}
