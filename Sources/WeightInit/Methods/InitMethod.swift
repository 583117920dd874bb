public import ByteText
internal import TorchRandom

/// A method of initialisation, such as a function of `torch.nn.init`: a row of the table that the decoder, the
/// catalogue and the plans share.
///
/// A class, because rows never change, and copying a reference costs less than copying a row.
public final class InitMethod: Sendable {
    /// PyTorch's name without the trailing underscore.
    public let name: Text
    /// Names besides PyTorch's own (`name` and `name_`, which are always accepted).
    public let aliases: [Text]
    public let parameters: [Parameter]
    /// The distribution or value of the elements, in one line.
    public let formula: String
    /// `true` if the method draws random numbers.
    public let isRandom: Bool
    /// `true` if the method can also make integers and booleans.
    let takesIntegers: Bool
    /// `true` if the method is in `torch.nn.init`.
    public let isPyTorch: Bool

    let resolve: @Sendable (Context) throws(InitError) -> Resolution

    init(
        name: Text,
        aliases: [Text],
        parameters: [Parameter],
        formula: String,
        isRandom: Bool = true,
        takesIntegers: Bool = false,
        isPyTorch: Bool = true,
        resolve: @escaping @Sendable (Context) throws(InitError) -> Resolution
    ) {
        (self.name, self.aliases, self.formula) = (name, aliases, formula)
        (self.isRandom, self.takesIntegers, self.isPyTorch) = (isRandom, takesIntegers, isPyTorch)
        self.parameters = parameters
        self.resolve = resolve
    }

    /// The part of a request that a method resolves.
    struct Context {
        let arguments: BoundArguments
        let shape: Shape
        let dtype: DType
        let limits: Limits
        /// Number of bytes that further literals of this request may have.
        let literalBytesLeft: Int

        /// The format of the elements; methods that use it are never called with integer types.
        var format: FloatFormat { dtype.floatFormat ?? .float32 }
    }

    /// A method's answer to a request: its recipe, and the numbers that explain it.
    public struct Resolution: Sendable {
        var recipe: Recipe
        public internal(set) var fan: Fan?
        public internal(set) var gain: Double?
        /// Mean of the method's distribution, as ``std`` is its standard deviation; for `trunc_normal`, before
        /// truncation.
        public internal(set) var mean: Double?
        public internal(set) var std: Double?
        /// Bound of uniforms between −bound and bound.
        public internal(set) var bound: Double?
        /// The given ends of a uniform, or the ends at which a normal is cut off.
        public internal(set) var interval: (low: Double, high: Double)?
        public internal(set) var warnings: [String] = []
    }

    /// Looks up a name or an alias, with or without PyTorch's trailing underscore and module.
    public static func named(_ name: Text) -> InitMethod? {
        let name = name.removing(suffix: "_") ?? name
        return byName[name] ?? modules.lazy.compactMap { name.removing(prefix: $0) }.first.flatMap { byName[$0] }
    }

    /// Spellings of PyTorch's module that may stand before a name.
    private static let modules: [Text] = ["torch.nn.init.", "nn.init.", "init."]

    private static let byName: [Text: InitMethod] = Dictionary(
        uniqueKeysWithValues: all.flatMap { method in ([method.name] + method.aliases).map { ($0, method) } }
    )

    /// Looks up a name among all methods and ``literals``.
    public static func namedForSteps(_ name: Text) -> InitMethod? {
        named(name) ?? literals.first { $0.name == name }
    }

    /// Methods that are not in `torch.nn.init`, and whose elements do not depend on the seed. Only the tensors and
    /// steps of models take them.
    public static let literals: [InitMethod] = [arange, data]

    public static let all: [InitMethod] = [
        uniform, normal, truncNormal, constant, ones, zeros, eye, dirac, xavierUniform, xavierNormal, kaimingUniform,
        kaimingNormal, varianceScaling, lecunUniform, lecunNormal, orthogonal, sparse,
    ]
}

extension InitMethod {
    static let uniform = InitMethod(
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
        let width = b - a
        return Resolution(
            recipe: .uniform(from: a, to: b),
            // Written without the sum of the ends, which may be over the largest float64.
            mean: a + width / 2,
            std: width / 12.0.squareRoot(),
            interval: (a, b)
        )
    }

    static let normal = InitMethod(
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
        parameters: [Parameter("value", .scalar, aliases: ["val"], "the value of every element")],
        formula: "value",
        isRandom: false,
        takesIntegers: true
    ) { context throws(InitError) in
        let value = try context.arguments.scalar("value")
        if let format = context.dtype.floatFormat {
            try Recipe.checkConstant(value.double, count: context.shape.elementCount, format: format)
        }
        return Resolution(recipe: .constant(bits: try value.bits(context.dtype, parameter: "value")))
    }

    static let ones = filled("ones", with: 1)
    static let zeros = filled("zeros", with: 0)

    private static func filled(_ name: Text, with value: Int) -> InitMethod {
        InitMethod(
            name: name,
            aliases: [],
            parameters: [],
            formula: "\(value)",
            isRandom: false,
            takesIntegers: true
        ) { context throws(InitError) in
            Resolution(recipe: .constant(bits: try Scalar.integer(value).bits(context.dtype, parameter: "dtype")))
        }
    }

    private static let arange = InitMethod(
        name: "arange",
        aliases: [],
        parameters: [
            Parameter("start", .scalar, default: .number(0), "value of the first element"),
            Parameter("step", .scalar, default: .number(1), "difference from one element to the next"),
        ],
        formula: "start + i · step for element i, row-major; not of torch.nn.init",
        isRandom: false,
        takesIntegers: true,
        isPyTorch: false
    ) { context throws(InitError) in
        let (start, step) = (try context.arguments.scalar("start"), try context.arguments.scalar("step"))
        try Recipe.checkRange(start: start, step: step, count: context.shape.elementCount, context.dtype)
        return Resolution(recipe: .range(start: start, step: step))
    }

    private static let data = InitMethod(
        name: "data",
        aliases: [],
        parameters: [
            Parameter("base64", .text, default: .null, "the elements' bytes, little-endian and row-major, in base64"),
            Parameter("zlib", .text, default: .null, "the same as a zlib stream, in base64"),
        ],
        formula: "the elements that are given; not of torch.nn.init",
        isRandom: false,
        takesIntegers: true,
        isPyTorch: false
    ) { context throws(InitError) in
        let arguments = context.arguments
        let (byteCount, overflow) = context.shape.elementCount.multipliedReportingOverflow(by: context.dtype.itemSize)
        guard !overflow, byteCount <= context.literalBytesLeft else {
            throw InitError(
                over: \Limits.maximumLiteralBytes,
                [arguments.isGiven("zlib") ? "zlib" : "base64"],
                "the literals of the request have more than \(context.limits.maximumLiteralBytes) bytes"
            )
        }
        switch (arguments.isGiven("base64"), arguments.isGiven("zlib")) {
        case (true, false):
            let literal = try Literal(base64: try arguments.text("base64"), byteCount: byteCount)
            return Resolution(recipe: .literal(literal))
        case (false, true):
            let literal = try Literal(zlib: try arguments.text("zlib"), byteCount: byteCount)
            return Resolution(recipe: .literal(literal))
        case (true, true): throw .invalid("zlib", "cannot be combined with base64; give one of the two")
        case (false, false): throw .invalid("base64", "is missing: data needs base64 or zlib")
        }
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

    static let orthogonal = InitMethod(
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
        guard count > 0 else { return Resolution(recipe: .zeros, gain: gain) }
        guard context.format == .float32 || context.format == .float64 else {
            throw .refused("dtype", "orthogonal has no QR decomposition for \(context.format.rawValue)")
        }
        guard count <= context.limits.maximumMatrixElements else {
            throw InitError(
                over: \Limits.maximumMatrixElements,
                ["shape"],
                "orthogonal needs the matrix of \(count) elements whole; at most "
                    + "\(context.limits.maximumMatrixElements) are allowed"
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

    static let gainParameter = Parameter(
        "gain",
        .gain,
        default: .number(1),
        "scaling factor, or an activation, for its gain"
    )
}

extension InitMethod: Equatable {
    public static func == (left: InitMethod, right: InitMethod) -> Bool { left.name == right.name }
}
