public import ByteText

/// One statement of a model's program after its tensors have been built and its rules applied.
public struct Step: Sendable, Equatable {
    public enum Target: Sendable, Equatable {
        /// Tensors of the model (buffers or parameters), one after the other; with a slice, the same block of each.
        case tensors([Text], slice: Slice?)
        /// A tensor that is drawn and dropped: only the generator moves.
        case discarded(shape: Shape, dtype: DType)
    }

    /// A row of the table of initialisations or of the table of changes.
    public enum Method: Sendable, Equatable {
        case initialize(InitMethod)
        case change(ChangeMethod)

        /// Looks up a name or an alias.
        public static func named(_ name: Text) -> Method? {
            ChangeMethod.named(name).map(Method.change) ?? InitMethod.namedForSteps(name).map(Method.initialize)
        }

        public static let allNames = (InitMethod.all + InitMethod.literals).map(\.name) + ChangeMethod.all.map(\.name)

        public var name: Text {
            switch self {
            case .initialize(let method): method.name
            case .change(let method): method.name
            }
        }

        public var parameters: [Parameter] {
            switch self {
            case .initialize(let method): method.parameters
            case .change(let method): method.parameters
            }
        }
    }

    public var target: Target
    /// Number of tensors that the step changes; 1 for a discarded draw.
    var count: Int {
        if case .tensors(let names, _) = target { names.count } else { 1 }
    }
    public var method: Method
    /// The method's own parameters.
    public var arguments: Arguments

    public init(_ target: Target, method: Method, arguments: Arguments = Arguments()) {
        self.target = target
        self.method = method
        self.arguments = arguments
    }
}

/// A change of an existing tensor's elements: a row of the table that the decoder, the catalogue and the plans share.
public struct ChangeMethod: Sendable {
    /// The change with its arguments.
    enum Change: Sendable, Equatable {
        case arithmetic(ElementOperation)
        /// The elements of another tensor, or of a block of it.
        case copy(from: Text, slice: Text?)
        /// The norms of another tensor's elements.
        case norm(from: Text, dimension: Int)
    }

    /// PyTorch's name without the trailing underscore.
    public let name: Text
    public let parameters: [Parameter]
    public let formula: String
    let resolve: @Sendable (BoundArguments) throws(InitError) -> Change

    public static func named(_ name: Text) -> ChangeMethod? {
        all.first { $0.name == name.removing(suffix: "_") ?? name }
    }

    public static let all: [ChangeMethod] = [
        arithmetic("add", "x + value") { .add($0) },
        arithmetic("sub", "x − value") { .subtract($0) },
        arithmetic("mul", "x · value") { .multiply($0) },
        arithmetic("div", "x / value") { .divide($0) },
        clamp, erfinv, copy, norm,
    ]

    private static func arithmetic(
        _ name: Text,
        _ formula: String,
        _ operation: @escaping @Sendable (Double) -> ElementOperation
    ) -> ChangeMethod {
        ChangeMethod(
            name: name,
            parameters: [Parameter("value", .number, "the other operand, rounded to the dtype")],
            formula: formula
        ) { arguments throws(InitError) in
            .arithmetic(operation(try arguments.number("value")))
        }
    }

    private static let clamp = ChangeMethod(
        name: "clamp",
        parameters: [
            Parameter("min", .number, default: .null, "lower bound; none by default"),
            Parameter("max", .number, default: .null, "upper bound; none by default"),
        ],
        formula: "max(min, x), then min(max, x)"
    ) { arguments throws(InitError) in
        let low = arguments.isGiven("min") ? try arguments.number("min") : nil
        let high = arguments.isGiven("max") ? try arguments.number("max") : nil
        guard low != nil || high != nil else {
            throw .invalid("min", "clamp needs min, max or both")
        }
        if let low, let high, low > high {
            throw .refused("min", "the lower bound \(low) is above the upper bound \(high)")
        }
        return .arithmetic(.clamp(low: low, high: high))
    }

    private static let erfinv = ChangeMethod(
        name: "erfinv",
        parameters: [],
        formula: "the inverse of the error function, the nearest float32"
    ) { _ in
        .arithmetic(.inverseError)
    }

    private static let copy = ChangeMethod(
        name: "copy",
        parameters: [
            Parameter("from", .text, "name of the tensor that is copied"),
            Parameter("from_slice", .text, default: .null, "block of it; all of it by default"),
        ],
        formula: "the elements of another tensor, rounded to the dtype"
    ) { arguments throws(InitError) in
        .copy(
            from: try arguments.text("from"),
            slice: arguments.isGiven("from_slice") ? try arguments.text("from_slice") : nil
        )
    }
}

extension ChangeMethod {
    private static let norm = ChangeMethod(
        name: "norm",
        parameters: [
            Parameter("from", .text, "name of the tensor whose norms are taken"),
            Parameter(
                "dim",
                .integer,
                default: .integer(0),
                "the dimension that is kept; -1 for the norm of all elements"
            ),
        ],
        formula: "√Σx² over all dimensions of another tensor but one, as weight_norm initialises its magnitude"
    ) { arguments throws(InitError) in
        .norm(from: try arguments.text("from"), dimension: try arguments.integer("dim"))
    }
}

extension ChangeMethod: Equatable {
    public static func == (left: ChangeMethod, right: ChangeMethod) -> Bool { left.name == right.name }
}
