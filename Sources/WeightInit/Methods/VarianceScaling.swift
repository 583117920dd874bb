internal import ByteText
internal import TorchRandom

/// The rule behind all methods that scale the variance by the fans, with its constants: the variance is gain² / fan.
///
/// He et al. 2015, Glorot and Bengio 2010 and LeCun et al. 1998 differ in the constants only, as in
/// `jax.nn.initializers.variance_scaling`.
struct VarianceScaling {
    enum Mode: String, CaseIterable {
        case fanIn = "fan_in"
        case fanOut = "fan_out"
        case fanAverage = "fan_avg"
    }

    enum Distribution: String, CaseIterable {
        case normal
        case truncatedNormal = "truncated_normal"
        case uniform

        /// The formula of a method, with the formula of its standard deviation.
        func formula(std: String) -> String {
            switch self {
            case .normal: "N(0, std²), std = \(std)"
            case .truncatedNormal: "N(0, s²) within ±2s, s = std / 0.8796…, std = \(std)"
            case .uniform: "U(−bound, bound), bound = √3 · \(std)"
            }
        }
    }

    let mode: Mode
    let gain: Double
    /// Name of the parameter in errors about the gain.
    let gainParameter: Text

    /// The standard deviation of N(0, 1) between −2 and 2, to the digits that JAX and Keras use.
    static let truncatedStd = 0.87962566103423978

    /// - Throws: `refused` if the fan is 0, or the distribution refuses the standard deviation.
    func resolution(
        _ distribution: Distribution,
        _ context: InitMethod.Context
    ) throws(InitError) -> InitMethod.Resolution {
        let fan = try Fan(of: context.shape)
        let std = try std(fan, context.shape)
        var resolution = InitMethod.Resolution(
            recipe: .zeros,
            fan: fan,
            gain: gain,
            mean: 0,
            std: std
        )
        switch distribution {
        case .normal:
            try Recipe.checkNormal(std: std, parameter: gainParameter)
            resolution.recipe = .normal(mean: 0, std: std)
        case .uniform:
            // In PyTorch's order of operations: √3 · std has other bits than √(3 · variance).
            let bound = 3.0.squareRoot() * std
            try Recipe.checkUniform(
                from: -bound,
                to: bound,
                format: context.format,
                parameters: (gainParameter, gainParameter)
            )
            resolution.bound = bound
            resolution.recipe = .uniform(from: -bound, to: bound)
        case .truncatedNormal:
            let before = std / VarianceScaling.truncatedStd
            do {
                resolution.recipe = .truncatedNormal(
                    try TruncatedNormal(
                        mean: 0,
                        std: before,
                        lower: -2 * before,
                        upper: 2 * before,
                        count: context.shape.elementCount,
                        format: context.format,
                        limits: context.limits
                    )
                )
            } catch {
                throw error.moved(to: [gainParameter])
            }
            resolution.interval = (-2 * before, 2 * before)
        }
        return resolution
    }

    /// In PyTorch's order of operations, which is part of the result: `gain · √(2 / (fan_in + fan_out))`,
    /// `gain / √fan`.
    private func std(_ fan: Fan, _ shape: Shape) throws(InitError) -> Double {
        let (sum, overflow) = fan.fanIn.addingReportingOverflow(fan.fanOut)
        let divisor: Int
        switch mode {
        case .fanIn: divisor = fan.fanIn
        case .fanOut: divisor = fan.fanOut
        case .fanAverage:
            guard !overflow else { throw .tooLarge("shape", "fan_in + fan_out is over 2^63 − 1") }
            divisor = sum
        }
        guard divisor > 0 else {
            let name = mode == .fanAverage ? "fan_in + fan_out" : mode.rawValue
            throw .refused("shape", "\(name) of \(shape) is 0, and the variance is divided by it")
        }
        return mode == .fanAverage
            ? gain * (2.0 / Double(divisor)).squareRoot() : gain / Double(divisor).squareRoot()
    }
}

extension InitMethod {
    static let xavierUniform = xavier("xavier_uniform", alias: "glorot_uniform", .uniform)
    static let xavierNormal = xavier("xavier_normal", alias: "glorot_normal", .normal)
    static let kaimingUniform = kaiming("kaiming_uniform", alias: "he_uniform", .uniform)
    static let kaimingNormal = kaiming("kaiming_normal", alias: "he_normal", .normal)
    static let lecunUniform = lecun("lecun_uniform", .uniform)
    static let lecunNormal = lecun("lecun_normal", .truncatedNormal)

    /// `jax.nn.initializers.variance_scaling`, with the defaults of Keras.
    static let varianceScaling = InitMethod(
        name: "variance_scaling",
        aliases: [],
        parameters: [
            Parameter("scale", .number, default: .number(1), "variance times fan"),
            Parameter(
                "mode",
                .choice(VarianceScaling.Mode.words),
                default: .text(VarianceScaling.Mode.fanIn.word),
                "the fan that divides the scale; fan_avg is the mean of both"
            ),
            Parameter(
                "distribution",
                .choice(VarianceScaling.Distribution.words),
                default: .text(VarianceScaling.Distribution.truncatedNormal.word),
                "the distribution; truncated_normal ends at two standard deviations"
            ),
        ],
        formula: "variance = scale / fan; not of PyTorch",
        isPyTorch: false
    ) { context throws(InitError) in
        let arguments = context.arguments
        let scale = try arguments.number("scale")
        guard scale > 0, scale.isFinite else {
            throw .refused(
                "scale",
                "must be above 0 and finite, not \(scale): the variance is scale / fan"
            )
        }
        let scaling = VarianceScaling(
            mode: try arguments.choice("mode"),
            gain: scale.squareRoot(),
            gainParameter: "scale"
        )
        return try scaling.resolution(try arguments.choice("distribution"), context)
    }

    /// Glorot and Bengio 2010, equations 12 and 16.
    private static func xavier(_ name: Text, alias: Text, _ distribution: VarianceScaling.Distribution) -> InitMethod {
        InitMethod(
            name: name,
            aliases: [alias],
            parameters: [gainParameter],
            formula: distribution.formula(std: "gain · √(2 / (fan_in + fan_out))")
        ) { context throws(InitError) in
            let gain = try context.arguments.gain("gain")
            let scaling = VarianceScaling(mode: .fanAverage, gain: gain, gainParameter: "gain")
            return try scaling.resolution(distribution, context)
        }
    }

    /// LeCun et al. 1998, equation 16, as in JAX.
    private static func lecun(_ name: Text, _ distribution: VarianceScaling.Distribution) -> InitMethod {
        InitMethod(
            name: name,
            aliases: [],
            parameters: [],
            formula: distribution.formula(std: "1 / √fan_in") + "; not of PyTorch",
            isPyTorch: false
        ) { context throws(InitError) in
            try VarianceScaling(mode: .fanIn, gain: 1, gainParameter: "shape").resolution(distribution, context)
        }
    }

    /// He et al. 2015, equations 10 and 14.
    private static func kaiming(_ name: Text, alias: Text, _ distribution: VarianceScaling.Distribution) -> InitMethod {
        InitMethod(
            name: name,
            aliases: [alias],
            parameters: [
                Parameter("a", .number, default: .number(0), "negative slope of the leaky ReLU that follows"),
                Parameter(
                    "mode",
                    .choice(Fan.Mode.words, ignoresCase: true),
                    default: .text(Fan.Mode.fanIn.word),
                    "the fan that keeps its variance: fan_in forward, fan_out backward"
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
            formula: distribution.formula(std: "gain / √fan")
        ) { context throws(InitError) in
            let arguments = context.arguments
            for other: Text in ["a", "nonlinearity"] where arguments.isGiven("gain") && arguments.isGiven(other) {
                throw .invalid("gain", "takes the place of \(other); give one of the two")
            }
            guard !context.shape.dimensions.contains(0) else {
                return Resolution(
                    recipe: .zeros,
                    warnings: ["the tensor has no elements, so nothing is checked or drawn"]
                )
            }
            let mode: Fan.Mode = try arguments.choice("mode", ignoresCase: true)
            let scaling = VarianceScaling(
                mode: mode == .fanIn ? .fanIn : .fanOut,
                gain: arguments.isGiven("gain") ? try arguments.gain("gain") : try torchGain(arguments),
                gainParameter: "gain"
            )
            return try scaling.resolution(distribution, context)
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
            throw error.moved(to: ["a"])
        }
    }
}
