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
        var builder = PlanBuilder(seed: seed, limits: limits, slices: request.slice != nil)
        try builder.add(request)
        self = builder.finish()
    }

    /// Several tensors, one after the other on one generator.
    ///
    /// - Throws: `InitError`, with the index of the request at fault at the front of its path.
    public init(_ requests: [TensorRequest], seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var builder = PlanBuilder(seed: seed, limits: limits, slices: requests.contains { $0.slice != nil })
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
    /// Of what is wanted of it: the block's, where there is a slice.
    public let shape: Shape
    /// Of the tensor as it is drawn.
    public let fullShape: Shape
    /// The block that is wanted; `nil` for all of it.
    public let slice: Slice?
    let block: Block?
    public let dtype: DType
    /// Whether it is a parameter, and not one of a layer's buffers.
    public let isParameter: Bool
    /// How it is initialised, by whatever came last.
    public let initialization: Initialization

    public var byteCount: Int { shape.elementCount * dtype.itemSize }

    /// - Throws: `refused` for a slice of more dimensions than there are.
    init(
        name: String,
        fullShape: Shape,
        slice: Slice?,
        dtype: DType,
        isParameter: Bool,
        initialization: Initialization
    ) throws(InitError) {
        self.name = name
        self.fullShape = fullShape
        self.slice = slice.flatMap { $0.isWhole ? nil : $0 }
        do {
            block = try self.slice.map { slice throws(InitError) in try Block(slice, of: fullShape) }
        } catch {
            throw error.under("slice")
        }
        shape = block?.shape ?? fullShape
        self.dtype = dtype
        self.isParameter = isParameter
        self.initialization = initialization
    }
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
    /// What a uniform that was given its ends lies between.
    public internal(set) var interval: (low: Double, high: Double)?
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

/// What has to be done before the first byte.
public struct Preparation: Sendable, Equatable {
    /// Bytes that this takes at most, and that are held while the tensors are read.
    public var memory: Int
    /// Elements that are made only to count the words that they draw.
    public var countedElements: Int

    fileprivate static let none = Preparation(memory: 0, countedElements: 0)

    fileprivate static func + (left: Preparation, right: Preparation) -> Preparation {
        func sum(_ a: Int, _ b: Int) -> Int {
            let (sum, overflow) = a.addingReportingOverflow(b)
            return overflow ? .max : sum
        }
        return Preparation(
            memory: sum(left.memory, right.memory),
            countedElements: sum(left.countedElements, right.countedElements)
        )
    }
}

extension Plan {
    /// Words that all tensors draw; `nil` where that depends on the values.
    public var words: UInt64? {
        draws.reduce(0) { sum, draw in sum.flatMap { sum in draw.words.map { sum + $0 } } }
    }

    /// ``LinearAlgebra/coreName`` where the bits of a tensor depend on it, else empty.
    ///
    /// - Throws: `failed` where they do and it cannot be had.
    public var linearAlgebraCore: String {
        get throws(InitError) {
            let dependsOnIt = tensors.contains { tensor in
                if case .orthogonal = draws[tensor.initialization.draw].recipe { true } else { false }
            }
            return dependsOnIt ? try LinearAlgebra.coreName : ""
        }
    }

    /// What has to be done before the first byte of any tensor; `nil` where that is next to nothing.
    public var preparation: Preparation? {
        var total: Preparation?
        for draw in drawsToCount where draw.words == nil {
            // Counting means making all elements once.
            total = (total ?? .none) + Preparation(memory: 1 << 16, countedElements: draw.count)
        }
        for draw in Set(tensors.map(\.initialization.draw)) {
            if let preparation = draws[draw].preparation { total = (total ?? .none) + preparation }
        }
        return total
    }

    /// About how much work it is to make all that is wanted, in generator words.
    public var work: Double {
        tensors.reduce(0) { $0 + draws[$1.initialization.draw].work(of: $1) }
    }

    /// The draws before the last tensor whose start is not known; each of them tells where the next one starts.
    private var drawsToCount: ArraySlice<Draw> {
        let unknown = tensors.map(\.initialization.draw).filter { draws[$0].start == nil && draws[$0].words != 0 }
        return draws[..<(unknown.max() ?? 0)]
    }

    /// Does the ``preparation``: counts the words that depend on values, and makes what must be whole.
    ///
    /// It depends on the tensors as they are drawn, and not on the slices.
    ///
    /// - Returns: `nil` where `isCancelled` has turned true.
    /// - Throws: `tooLarge` where memory for that is not to be had.
    public func prepare(isCancelled: () -> Bool = { false }) throws(InitError) -> PreparedDraws? {
        var wasCancelled = false
        // What is made after it has turned true once is not whole.
        let check = {
            wasCancelled = wasCancelled || isCancelled()
            return wasCancelled
        }
        var starts = draws.map(\.start)
        var position = StreamPosition.start
        for (index, draw) in drawsToCount.enumerated() {
            position = try draw.end(from: draw.start ?? position, isCancelled: check)
            starts[index + 1] = position
            if wasCancelled { return nil }
        }
        var held: [Int: HeldDraw] = [:]
        for draw in Set(tensors.map(\.initialization.draw)) {
            held[draw] = try draws[draw].hold(at: starts[draw] ?? .start, isCancelled: check)
            if wasCancelled { return nil }
        }
        return PreparedDraws(starts: starts, held: held)
    }

    /// The plan with its ``preparation`` done, by itself or by another one of the same tensors.
    public func prepared(_ preparation: PreparedDraws) -> PreparedPlan {
        PreparedPlan(plan: self, draws: draws, preparation: preparation)
    }

    /// Does the ``preparation`` to the end.
    public func prepared() throws(InitError) -> PreparedPlan {
        prepared(try prepare() ?? PreparedDraws(starts: [], held: [:]))
    }

    /// Where the stream stands after everything has been drawn.
    package func end() throws(InitError) -> StreamPosition {
        var position = StreamPosition.start
        for draw in draws { position = try draw.end(from: draw.start ?? position) { false } }
        return position
    }
}

/// What a plan's preparation has come to.
///
/// An object, and held by every source that reads from it, so that who keeps it can tell whether it is in use.
public final class PreparedDraws: Sendable {
    fileprivate let starts: [StreamPosition?]
    fileprivate let held: [Int: HeldDraw]

    fileprivate init(starts: [StreamPosition?], held: [Int: HeldDraw]) {
        self.starts = starts
        self.held = held
    }

    /// Bytes of memory that it takes.
    public var byteCount: Int {
        held.values.reduce(starts.count * MemoryLayout<StreamPosition?>.stride) { sum, draw in
            switch draw {
            case .bytes(let bytes): sum + bytes.count
            case .mask(let mask): sum + mask.byteCount
            }
        }
    }
}

/// A plan whose tensors can be read from any byte on at once.
public struct PreparedPlan: Sendable {
    public let plan: Plan
    private let draws: [Draw]
    private let preparation: PreparedDraws

    fileprivate init(plan: Plan, draws: [Draw], preparation: PreparedDraws) {
        self.plan = plan
        self.draws = draws
        self.preparation = preparation
    }

    /// The bytes of one tensor, or of the block that is wanted of it, made as they are read.
    public func makeSource(_ tensor: Int = 0) -> any ByteSource {
        let planned = plan.tensors[tensor]
        let index = planned.initialization.draw
        let start = preparation.starts.indices.contains(index) ? preparation.starts[index] : nil
        var elements = draws[index].makeElements(at: start ?? .start, preparation.held[index])
        if let zeroed = planned.initialization.zeroed {
            elements = ZeroedElements(elements, itemSize: planned.dtype.itemSize) { Array(zeroed.clamped(to: $0)) }
        }
        if let block = planned.block, planned.shape != planned.fullShape {
            elements = SlicedElements(elements, itemSize: planned.dtype.itemSize, block: block)
        }
        return TensorSource(
            elementCount: planned.shape.elementCount,
            itemSize: planned.dtype.itemSize,
            elements: elements,
            preparation: preparation,
            twin: { makeSource(tensor) }
        )
    }
}
