internal import TorchRandom

/// One of the functions of `torch.nn.init`: a row of the table that the decoder, the catalogue and the plans share.
public struct InitMethod: Sendable {
    /// PyTorch's name without the trailing underscore.
    public let name: String
    /// Names besides PyTorch's own (`name` and `name_`, which are always accepted).
    public let aliases: [String]
    public let parameters: [Parameter]
    /// What is computed, in one line.
    public let formula: String
    /// Whether its numbers are drawn, for what arguments ever.
    public private(set) var isRandom = true

    let resolve: @Sendable (Context) throws(InitError) -> Resolution

    /// What a method sees of a request.
    struct Context {
        let arguments: BoundArguments
        let shape: Shape
        let format: FloatFormat
        let limits: Limits
    }

    /// What a method makes of a request.
    struct Resolution: Sendable {
        var recipe: Recipe
        var fan: Fan?
        var mode: Fan.Mode?
        var gain: Double?
        var mean: Double?
        var std: Double?
        var bound: Double?
        var interval: (low: Double, high: Double)?
        var warnings: [String] = []
    }

    /// Looks a name or an alias up, with or without PyTorch's trailing underscore.
    public static func named(_ name: String) -> InitMethod? {
        byName[name.hasSuffix("_") ? String(name.dropLast()) : name]
    }

    private static let byName: [String: InitMethod] = Dictionary(
        uniqueKeysWithValues: all.flatMap { method in ([method.name] + method.aliases).map { ($0, method) } }
    )

    public static let all: [InitMethod] = [
        uniform, normal, truncNormal, constant, ones, zeros, eye, dirac, xavierUniform, xavierNormal, kaimingUniform,
        kaimingNormal, orthogonal, sparse,
    ]
}

extension InitMethod {
    private static let uniform = InitMethod(
        name: "uniform",
        aliases: [],
        parameters: [
            Parameter("a", .number, default: .number(0), "lower bound"),
            Parameter("b", .number, default: .number(1), "upper bound"),
        ],
        formula: "U(a, b)"
    ) { context throws(InitError) in
        let (a, b) = (try context.arguments.number("a"), try context.arguments.number("b"))
        try Recipe.checkUniform(from: a, to: b, format: context.format)
        return Resolution(recipe: .uniform(from: a, to: b), interval: (a, b))
    }

    private static let normal = InitMethod(
        name: "normal",
        aliases: [],
        parameters: [
            Parameter("mean", .number, default: .number(0), "mean"),
            Parameter("std", .number, default: .number(1), "standard deviation"),
        ],
        formula: "N(mean, std²)"
    ) { context throws(InitError) in
        let (mean, std) = (try context.arguments.number("mean"), try context.arguments.number("std"))
        try Recipe.checkNormal(std: std)
        return Resolution(recipe: .normal(mean: mean, std: std), mean: mean, std: std)
    }

    private static let truncNormal = InitMethod(
        name: "trunc_normal",
        aliases: ["truncated_normal"],
        parameters: [
            Parameter("mean", .number, default: .number(0), "mean before truncation"),
            Parameter("std", .number, default: .number(1), "standard deviation before truncation"),
            Parameter("a", .number, default: .number(-2), "lower bound"),
            Parameter("b", .number, default: .number(2), "upper bound"),
        ],
        formula: "N(mean, std²) within [a, b]"
    ) { context throws(InitError) in
        let (mean, std) = (try context.arguments.number("mean"), try context.arguments.number("std"))
        let truncated = try TruncatedNormal(
            mean: mean,
            std: std,
            lower: try context.arguments.number("a"),
            upper: try context.arguments.number("b"),
            count: context.shape.elementCount,
            format: context.format,
            limits: context.limits
        )
        return Resolution(
            recipe: .truncatedNormal(truncated),
            mean: mean,
            std: std,
            warnings: truncated.meanIsFarOutside
                ? ["the mean is more than 2 standard deviations outside [a, b]"] : []
        )
    }

    private static let constant = InitMethod(
        name: "constant",
        aliases: [],
        parameters: [Parameter("value", .number, aliases: ["val"], "the value of every element")],
        formula: "value",
        isRandom: false
    ) { context throws(InitError) in
        let value = try context.arguments.number("value")
        try Recipe.checkConstant(value, count: context.shape.elementCount, format: context.format)
        return Resolution(recipe: .constant(value))
    }

    private static let ones = InitMethod(name: "ones", aliases: [], parameters: [], formula: "1", isRandom: false) {
        _ in
        Resolution(recipe: .constant(1))
    }

    private static let zeros = InitMethod(name: "zeros", aliases: [], parameters: [], formula: "0", isRandom: false) {
        _ in
        Resolution(recipe: .constant(0))
    }

    private static let eye = InitMethod(
        name: "eye",
        aliases: ["identity"],
        parameters: [],
        formula: "1 on the diagonal, else 0",
        isRandom: false
    ) { context throws(InitError) in
        guard context.shape.rank == 2 else {
            throw .refused("shape", "eye needs exactly 2 dimensions, \(context.shape) has \(context.shape.rank)")
        }
        return Resolution(
            recipe: .eye(rows: context.shape.dimensions[0], columns: context.shape.dimensions[1])
        )
    }

    private static let dirac = InitMethod(
        name: "dirac",
        aliases: [],
        parameters: [Parameter("groups", .integer, default: .integer(1), "groups of the convolution")],
        formula: "1 at the kernel's centre where output channel = input channel within the group, else 0",
        isRandom: false
    ) { context throws(InitError) in
        let groups = try context.arguments.integer("groups")
        return Resolution(recipe: .dirac(try DiracPattern(shape: context.shape, groups: groups)))
    }

    private static let orthogonal = InitMethod(
        name: "orthogonal",
        aliases: [],
        parameters: [gainParameter],
        formula: "gain · Q of the QR decomposition of N(0, 1), with R's diagonal made positive"
    ) { context throws(InitError) in
        guard context.shape.rank >= 2 else {
            throw .refused("shape", "orthogonal needs 2 or more dimensions, \(context.shape) has \(context.shape.rank)")
        }
        let gain = try context.arguments.gain("gain")
        let count = context.shape.elementCount
        guard count > 0 else { return Resolution(recipe: .constant(0), gain: gain) }
        guard context.format == .float32 || context.format == .float64 else {
            throw .refused("dtype", "orthogonal has no QR decomposition for \(context.format.rawValue)")
        }
        guard count <= context.limits.maximumMatrixElements else {
            throw .tooLarge(
                "shape",
                "orthogonal needs the matrix of \(count) elements whole; at most "
                    + "\(context.limits.maximumMatrixElements) are allowed (--max-matrix-elements)"
            )
        }
        let rows = context.shape.dimensions[0]
        return Resolution(recipe: .orthogonal(rows: rows, columns: count / rows, gain: gain), gain: gain)
    }

    private static let sparse = InitMethod(
        name: "sparse",
        aliases: [],
        parameters: [
            Parameter("sparsity", .number, "share of each column's elements that is 0"),
            Parameter("std", .number, default: .number(0.01), "standard deviation of the others"),
        ],
        formula: "N(0, std²), ⌈sparsity · rows⌉ elements of each column set to 0"
    ) { context throws(InitError) in
        let std = try context.arguments.number("std")
        let sparsity = try context.arguments.number("sparsity")
        let pattern = try SparsePattern(shape: context.shape, sparsity: sparsity, limits: context.limits)
        try Recipe.checkNormal(std: std)
        return Resolution(recipe: .sparse(pattern, std: std), mean: 0, std: std)
    }

    private static let gainParameter = Parameter(
        "gain",
        .gain,
        default: .number(1),
        "scaling factor, or an activation whose gain is meant"
    )
}

/// The methods that scale variance by fan: one rule with different constants.
extension InitMethod {
    fileprivate enum Draw {
        case uniform, normal
    }

    private static let xavierUniform = xavier("xavier_uniform", alias: "glorot_uniform", .uniform)
    private static let xavierNormal = xavier("xavier_normal", alias: "glorot_normal", .normal)
    private static let kaimingUniform = kaiming("kaiming_uniform", alias: "he_uniform", .uniform)
    private static let kaimingNormal = kaiming("kaiming_normal", alias: "he_normal", .normal)

    /// Glorot and Bengio 2010, equations 12 and 16.
    private static func xavier(_ name: String, alias: String, _ draw: Draw) -> InitMethod {
        InitMethod(
            name: name,
            aliases: [alias],
            parameters: [gainParameter],
            formula: draw.formula(std: "gain · √(2 / (fan_in + fan_out))")
        ) { context throws(InitError) in
            let fan = try Fan(of: context.shape)
            let (sum, overflow) = fan.fanIn.addingReportingOverflow(fan.fanOut)
            guard !overflow else { throw .tooLarge("shape", "fan_in + fan_out is over 2^63 − 1") }
            guard sum > 0 else {
                throw .refused("shape", "fan_in + fan_out of \(context.shape) is 0, which cannot be divided by")
            }
            let gain = try context.arguments.gain("gain")
            let std = gain * (2.0 / Double(sum)).squareRoot()
            return try draw.resolution(
                std: std,
                blame: "gain",
                context,
                Resolution(recipe: .constant(0), fan: fan, gain: gain)
            )
        }
    }

    /// He et al. 2015, equations 10 and 14.
    private static func kaiming(_ name: String, alias: String, _ draw: Draw) -> InitMethod {
        InitMethod(
            name: name,
            aliases: [alias],
            parameters: [
                Parameter("a", .number, default: .number(0), "negative slope of the leaky ReLU that follows"),
                Parameter(
                    "mode",
                    .choice(Fan.Mode.allCases.map(\.rawValue), ignoresCase: true),
                    default: .text(Fan.Mode.fanIn.rawValue),
                    "which fan keeps its variance: fan_in forward, fan_out backward"
                ),
                Parameter(
                    "nonlinearity",
                    .choice(Nonlinearity.torchNames),
                    default: .text("leaky_relu"),
                    "the activation that follows"
                ),
                Parameter(
                    "gain",
                    .gain,
                    default: .null,
                    "in place of a and nonlinearity: a number, or any activation of the catalogue"
                ),
            ],
            formula: draw.formula(std: "gain / √fan")
        ) { context throws(InitError) in
            let arguments = context.arguments
            for other in ["a", "nonlinearity"] where arguments.isGiven("gain") && arguments.isGiven(other) {
                throw .invalid("gain", "takes the place of \(other); give one of the two")
            }
            guard !context.shape.dimensions.contains(0) else {
                return Resolution(
                    recipe: .constant(0),
                    warnings: ["a tensor without elements is left as it is, and nothing is checked or drawn"]
                )
            }
            let modeName = try arguments.text("mode")
            guard let mode = Fan.Mode(rawValue: modeName.lowercased()) else {
                throw .unknown("mode", modeName, in: ["mode"], known: Fan.Mode.allCases.map(\.rawValue))
            }
            let fan = try Fan(of: context.shape)
            let gain =
                arguments.isGiven("gain") ? try arguments.gain("gain") : try torchGain(arguments)
            let std = gain / Double(fan[mode]).squareRoot()
            return try draw.resolution(
                std: std,
                blame: "gain",
                context,
                Resolution(recipe: .constant(0), fan: fan, mode: mode, gain: gain)
            )
        }
    }

    private static func torchGain(_ arguments: BoundArguments) throws(InitError) -> Double {
        let name = try arguments.text("nonlinearity")
        guard let nonlinearity = Nonlinearity.named(name), nonlinearity.convention == .torch else {
            throw .unknown("nonlinearity", name, in: ["nonlinearity"], known: Nonlinearity.torchNames)
        }
        do {
            return try nonlinearity.gain(param: try arguments.number("a"))
        } catch {
            throw InitError(error.kind, ["a"], error.detail)
        }
    }
}

extension InitMethod.Draw {
    fileprivate func formula(std: String) -> String {
        switch self {
        case .uniform: "U(−bound, bound), bound = √3 · \(std)"
        case .normal: "N(0, std²), std = \(std)"
        }
    }

    /// Fills in the recipe for a standard deviation.
    fileprivate func resolution(
        std: Double,
        blame parameter: String,
        _ context: InitMethod.Context,
        _ partial: InitMethod.Resolution
    ) throws(InitError) -> InitMethod.Resolution {
        var resolution = partial
        resolution.mean = 0
        resolution.std = std
        switch self {
        case .uniform:
            // In this order: √3 · std has other bits than √(3 · variance).
            let bound = 3.0.squareRoot() * std
            try Recipe.checkUniform(from: -bound, to: bound, format: context.format, parameters: (parameter, parameter))
            resolution.bound = bound
            resolution.recipe = .uniform(from: -bound, to: bound)
        case .normal:
            try Recipe.checkNormal(std: std, parameter: parameter)
            resolution.recipe = .normal(mean: 0, std: std)
        }
        return resolution
    }
}
