public import ByteSource

/// A request, checked and resolved: everything about its tensors that is known without making an element.
public struct Plan: Sendable {
    public let seed: Seed
    public let tensors: [PlannedTensor]
    /// Bytes of all tensors together.
    public let byteCount: Int
    private var draws: [Draw]

    /// One tensor on a generator of its own.
    ///
    /// - Throws: `InitError` for what the method does not take, PyTorch refuses or a limit forbids.
    public init(_ request: TensorRequest, seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var builder = PlanBuilder(seed: seed, limits: limits)
        try builder.add(request)
        self = builder.plan()
    }

    /// Several tensors, one after the other on one generator.
    ///
    /// - Throws: `InitError`, with the index of the request at fault at the front of its path.
    public init(_ requests: [TensorRequest], seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var builder = PlanBuilder(seed: seed, limits: limits)
        for (index, request) in requests.enumerated() {
            do {
                try builder.add(request)
            } catch {
                throw error.under(String(index))
            }
        }
        self = builder.plan()
    }

    init(seed: Seed, tensors: [PlannedTensor], byteCount: Int, draws: [Draw]) {
        self.seed = seed
        self.tensors = tensors
        self.byteCount = byteCount
        self.draws = draws
    }
}

/// What is known of one tensor.
public struct PlannedTensor: Sendable {
    public let name: String
    public let shape: Shape
    public let dtype: DType
    /// Canonical name of the method, and its formula.
    public let method: String
    public let formula: String
    public let fan: Fan?
    public let mode: Fan.Mode?
    public let gain: Double?
    /// Mean and standard deviation that the method aims at, before truncation.
    public let mean: Double?
    public let std: Double?
    /// Uniforms lie between −bound and bound.
    public let bound: Double?
    /// Where in its stream the tensor's words start; `nil` where that has not been counted.
    public internal(set) var start: StreamPosition?
    /// Words that it draws; `nil` where that depends on the values.
    public internal(set) var words: UInt64?
    public let warnings: [String]
    let draw: Int

    public var byteCount: Int { shape.elementCount * dtype.itemSize }
}

/// What has to be done before a tensor's first byte.
public struct Preparation: Sendable, Equatable {
    /// Bytes that are held while the tensor is read.
    public var memory: Int
    /// Generator words, or as many operations, that go into it.
    public var work: Int
}

extension Plan {
    /// Words that all tensors draw; `nil` where that depends on the values.
    public var words: UInt64? {
        draws.reduce(0) { sum, draw in sum.flatMap { sum in draw.words.map { sum + $0 } } }
    }

    /// What has to be done before the first byte of a tensor; `nil` where that is next to nothing.
    public func preparation(of tensor: Int) -> Preparation? {
        let draw = draws[tensors[tensor].draw]
        switch draw.recipe {
        case .orthogonal(let rows, let columns, _):
            // Four copies at most: as drawn, as factored, LAPACK's own, and the result.
            let operations = draw.count.multipliedReportingOverflow(by: min(rows, columns))
            return Preparation(
                memory: 4 * tensors[tensor].byteCount,
                work: operations.overflow ? .max : operations.partialValue
            )
        case .sparse(let pattern, _):
            return Preparation(memory: draw.count / 8 + pattern.rows * 8, work: draw.count)
        default:
            return nil
        }
    }

    /// The bytes of one tensor, made as they are read.
    ///
    /// Does the tensor's ``preparation(of:)`` first.
    ///
    /// - Throws: `tooLarge` where memory for that is not to be had.
    public func makeSource(_ tensor: Int = 0) throws(InitError) -> any ByteSource {
        let planned = tensors[tensor]
        let draw = draws[planned.draw]
        let start = try start(of: planned.draw)
        return TensorSource(
            elementCount: planned.shape.elementCount,
            itemSize: planned.dtype.itemSize,
            elements: try draw.makeElements(at: start)
        )
    }

    /// Where the stream stands after everything has been drawn.
    package func end() throws(InitError) -> StreamPosition {
        try start(of: draws.count)
    }

    /// Where a draw starts, found by making the draws before it where their number of words depends on their values.
    private func start(of index: Int) throws(InitError) -> StreamPosition {
        var known = index
        if index < draws.count, let start = draws[index].start { return start }
        while known > 0, draws[known - 1].start == nil { known -= 1 }
        var position = StreamPosition.start
        for draw in draws[max(0, known - 1)..<index] {
            position = try draw.end(from: draw.start ?? position)
        }
        return position
    }
}

/// Puts draws one after the other on a stream.
struct PlanBuilder {
    private let seed: Seed
    private let limits: Limits
    private var draws: [Draw] = []
    private var tensors: [PlannedTensor] = []
    private var position: StreamPosition? = .start
    private var byteCount = 0

    init(seed: Seed, limits: Limits) {
        self.seed = seed
        self.limits = limits
    }

    /// - Throws: `InitError`, with the path from the tensor's own request.
    mutating func add(_ request: TensorRequest) throws(InitError) {
        guard let method = InitMethod.named(request.method) else {
            throw .unknown("method", request.method, in: ["method"], known: InitMethod.all.map(\.name))
        }
        guard let format = request.dtype.floatFormat else {
            throw .invalid("dtype", "\(request.dtype.rawValue) cannot be initialised")
        }
        try count(request)
        let resolution = try method.resolve(
            InitMethod.Context(
                arguments: try BoundArguments(request.arguments, for: method.parameters, of: method.name),
                shape: request.shape,
                format: format,
                limits: limits
            )
        )
        let start = position
        let words = try draw(resolution.recipe, count: request.shape.elementCount, dtype: request.dtype)
        tensors.append(
            PlannedTensor(
                name: request.name,
                shape: request.shape,
                dtype: request.dtype,
                method: method.name,
                formula: method.formula,
                fan: resolution.fan,
                mode: resolution.mode,
                gain: resolution.gain,
                mean: resolution.mean,
                std: resolution.std,
                bound: resolution.bound,
                start: start,
                words: words,
                warnings: resolution.warnings,
                draw: draws.count - 1
            )
        )
    }

    private mutating func count(_ request: TensorRequest) throws(InitError) {
        let (bytes, overflow) = request.shape.elementCount.multipliedReportingOverflow(by: request.dtype.itemSize)
        let (sum, sumOverflow) = byteCount.addingReportingOverflow(bytes)
        guard !overflow, !sumOverflow, sum <= limits.maximumTensorBytes else {
            throw .tooLarge(
                "shape",
                "\(request.shape.elementCount) elements of \(request.dtype.rawValue) are over the limit of "
                    + "\(limits.maximumTensorBytes) bytes (--max-tensor-bytes)"
            )
        }
        byteCount = sum
    }

    /// - Returns: The words drawn, where that is known.
    private mutating func draw(_ recipe: Recipe, count: Int, dtype: DType) throws(InitError) -> UInt64? {
        // From the front of the stream where the position is not known: whether a count of words is known, and how
        // large it can be, does not depend on it.
        let start = position
        let end = try recipe.end(count: count, dtype: dtype, from: start ?? .start)
        var words: UInt64?
        if let end, let start { words = end.word - start.word }
        draws.append(
            Draw(recipe: recipe, count: count, dtype: dtype, seed: seed.effective, start: start, words: words)
        )
        position = start == nil ? nil : end
        return words
    }

    func plan() -> Plan {
        Plan(seed: seed, tensors: tensors, byteCount: byteCount, draws: draws)
    }
}
