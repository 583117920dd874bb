public import ByteSource

/// A request, checked and resolved: everything about its tensors that is known without making an element.
public struct Plan: Sendable {
    public let seed: Seed
    public let tensors: [PlannedTensor]
    /// Bytes of all tensors together.
    public let byteCount: Int
    private var draws: [Draw]

    /// Names that are other names of a tensor, and which, in the order of the request.
    public let ties: [Tie]

    /// One tensor on a generator of its own.
    ///
    /// - Throws: `InitError` for what the method does not take, PyTorch refuses or a limit forbids.
    public init(_ request: TensorRequest, seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var builder = PlanBuilder(seed: seed, limits: limits)
        try builder.add(request)
        self = builder.finish()
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
        self = builder.finish()
    }

    init(seed: Seed, tensors: [PlannedTensor], ties: [Tie], byteCount: Int, draws: [Draw]) {
        self.seed = seed
        self.ties = ties
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
    /// How it is initialised, by whatever came last.
    public let initialization: Initialization

    public var byteCount: Int { shape.elementCount * dtype.itemSize }
}

/// How a tensor is initialised, and what that comes to in numbers.
public struct Initialization: Sendable {
    /// Canonical name of the method.
    public let method: String
    public let formula: String
    public internal(set) var fan: Fan?
    public internal(set) var mode: Fan.Mode?
    public internal(set) var gain: Double?
    /// Mean and standard deviation that the method aims at, before truncation.
    public internal(set) var mean: Double?
    public internal(set) var std: Double?
    /// Uniforms lie between −bound and bound.
    public internal(set) var bound: Double?
    public internal(set) var warnings: [String] = []
    /// The pass and the place in it of the rule that did it; `nil` for the layer's default, or a tensor's own method.
    public internal(set) var rule: RuleReference?
    /// The 32 bits that its generator was seeded with.
    public internal(set) var seed: UInt32
    /// Where in its stream the words start; `nil` where that depends on values drawn before.
    public internal(set) var start: StreamPosition?
    /// Words that it draws; `nil` where that depends on the values.
    public internal(set) var words: UInt64?
    /// Elements that are set to zero afterwards.
    var zeroed: Range<Int>?
    var draw: Int
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
        let draw = draws[tensors[tensor].initialization.draw]
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
        let index = planned.initialization.draw
        var elements = try draws[index].makeElements(at: try start(of: index))
        if let zeroed = planned.initialization.zeroed {
            elements = ZeroedElements(elements, itemSize: planned.dtype.itemSize) { zeroed.clamped(to: $0) }
        }
        return TensorSource(
            elementCount: planned.shape.elementCount,
            itemSize: planned.dtype.itemSize,
            elements: elements
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
