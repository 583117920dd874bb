public import ByteText
public import ByteSource
internal import TorchRandom

/// A checked and resolved request: all facts about its tensors that are known without making an element.
///
/// A class, because a plan never changes, and every stage from the request to the body holds it.
public final class Plan: Sendable {
    public let seed: Seed
    /// The tensors that are sent, in the order of the request.
    public let tensors: [PlannedTensor]
    /// Tensors that are not sent: they are outside of the state dict, or `include` leaves them out.
    public let unsent: [PlannedTensor]
    /// Other names of tensors, each with the tensor's own name, in the order of the request.
    public let ties: [Tie]
    /// Number of bytes of all tensors that are sent.
    public let byteCount: Int
    let allDraws: [Draw]
    /// Index of the first valid draw: draws before it are superseded.
    let firstDraw: Int
    /// The draws that the sent elements depend on, in order.
    let neededDraws: [Int]
    /// Bytes of the literals, which the plan holds.
    public let literalByteCount: Int

    /// - Parameter firstDraw: Index of the first valid draw: draws before it are superseded.
    init(_ builder: PlanBuilder, ties: [Tie] = [], firstDraw: Int = 0) {
        (seed, tensors, unsent, self.ties) = (builder.seed, builder.tensors, builder.unsent, ties)
        (allDraws, self.firstDraw, neededDraws) = (builder.draws, firstDraw, builder.neededDraws)
        (byteCount, literalByteCount) = (builder.byteCount, builder.literalBytes)
    }
}

extension Plan {
    /// Plans one tensor on its own generator.
    ///
    /// - Throws: `InitError` if the method does not take an argument, PyTorch refuses the call, or it exceeds a limit.
    public convenience init(_ request: TensorRequest, seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var builder = PlanBuilder(seed: seed, limits: limits, slices: request.slice != nil)
        try builder.add(request)
        self.init(builder)
    }

    /// Plans several tensors, one after the other on one generator.
    ///
    /// - Throws: `InitError`, whose path begins with the index of the request at fault.
    public convenience init(_ requests: [TensorRequest], seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var builder = PlanBuilder(seed: seed, limits: limits, slices: requests.contains { $0.slice != nil })
        for (index, request) in requests.enumerated() {
            do {
                try builder.add(request)
            } catch {
                throw error.under(Text(index))
            }
        }
        self.init(builder)
    }
}

/// All that is known about one tensor without making an element.
///
/// A class, for the same reason as ``Plan``.
public final class PlannedTensor: Sendable {
    public let name: Text
    /// Shape of the part that is sent: the block's shape if there is a slice.
    public let shape: Shape
    /// Shape of the tensor as it is drawn.
    public let fullShape: Shape
    /// The requested block; `nil` for the whole tensor.
    public let slice: Slice?
    let region: Region?
    /// Type in which the tensor is sent.
    public let dtype: DType
    /// `true` for a parameter, `false` for a buffer.
    public let isParameter: Bool
    /// Index of the draw that initialised the tensor last, among all draws; `nil` if steps write all of its elements.
    let draw: Int?
    /// The rule that initialised the tensor; `nil` for the layer's default and for a tensor's own method.
    public let rule: RuleReference?
    /// Indices of the steps that write to the tensor, in order.
    public let steps: [Int]
    let content: TensorContent

    public var byteCount: Int { shape.elementCount * dtype.itemSize }

    /// Type in which the tensor is drawn.
    public var drawnDType: DType { content.dtype }

    /// - Parameter cast: The type in which the tensor is sent, unless it holds integers; `nil` for its own type.
    /// - Throws: `refused` for a slice with more items than the tensor has dimensions.
    init(
        name: Text,
        content: TensorContent,
        slice: Slice?,
        cast: DType? = nil,
        isParameter: Bool,
        draw: Int?,
        rule: RuleReference? = nil,
        steps: [Int] = []
    ) throws(InitError) {
        self.name = name
        self.slice = slice.flatMap { $0.isWhole ? nil : $0 }
        do {
            region = try self.slice.map { slice throws(InitError) in try Region(slice, of: content.shape) }
        } catch {
            throw error.under("slice")
        }
        fullShape = content.shape
        shape = region?.shape ?? content.shape
        // Like `Module.to(dtype)`, a cast leaves integers as they are.
        dtype = content.dtype.floatFormat == nil ? content.dtype : cast ?? content.dtype
        self.isParameter = isParameter
        self.draw = draw
        self.rule = rule
        self.steps = steps
        self.content = content
    }
}

/// Cost of the work before the first byte.
public struct PreparationCost: Sendable, Equatable {
    /// Largest number of bytes of memory, held while the tensors are read.
    public var memory: Int
    /// Number of elements that are made only to count the words that they draw, or for norms.
    public var countedElements: Int
    /// Work of making elements for norms, in generator words.
    public var readWork = 0.0

    fileprivate static let none = PreparationCost(memory: 0, countedElements: 0)

    fileprivate static func + (left: PreparationCost, right: PreparationCost) -> PreparationCost {
        func sum(_ a: Int, _ b: Int) -> Int {
            let (sum, overflow) = a.addingReportingOverflow(b)
            return overflow ? .max : sum
        }
        return PreparationCost(
            memory: sum(left.memory, right.memory),
            countedElements: sum(left.countedElements, right.countedElements),
            readWork: left.readWork + right.readWork
        )
    }
}

extension Plan {
    /// All draws that take words, in order, including draws whose elements are overwritten.
    public var draws: [Draw] {
        allDraws[firstDraw...].filter { $0.words != 0 }
    }

    /// Number of words of all draws together; `nil` if it depends on the values.
    public var words: UInt64? {
        allDraws[firstDraw...].reduce(0) { sum, draw in sum.flatMap { sum in draw.words.map { sum + $0 } } }
    }

    /// The ``draws``, each with the names of the tensors that hold elements of the draw.
    public var drawsWithTensors: [(draw: Draw, tensors: [Text])] {
        var readers: [Int: [Text]] = [:]
        for tensor in tensors + unsent {
            for draw in Set(tensor.content.draws) { readers[draw, default: []].append(tensor.name) }
        }
        return allDraws.indices.dropFirst(firstDraw).filter { allDraws[$0].words != 0 }
            .map { (allDraws[$0], readers[$0] ?? []) }
    }

    /// The draw that initialised a tensor last; `nil` if steps write all of its elements.
    public func draw(of tensor: PlannedTensor) -> Draw? {
        tensor.draw.map { allDraws[$0] }
    }

    /// Name of the method of the draw that initialised a tensor last; `nil` if steps write all of its elements.
    public func method(of tensor: PlannedTensor) -> Text? {
        tensor.draw.map { allDraws[$0].method }
    }

    /// `true` if the tensor's bits are PyTorch's on every processor; bits made by `orthogonal` and `erfinv` are not.
    public func isExact(_ tensor: PlannedTensor) -> Bool {
        !tensor.content.hasInverseError && !tensor.content.draws.contains { allDraws[$0].isOrthogonal }
    }

    /// Text that differs between hosts whose bits may differ; empty if this host's C library gives PyTorch's bits.
    ///
    /// The C library's logarithms, sin and cos make normals in float64 and normals of fewer than 16 elements. Its
    /// logarithms also decide which proposals a truncated normal accepts, its erf chooses the truncated normal's path,
    /// and gains are computed with its pow, exp, erf and tanh.
    public static var hostDeviation: String { Libm.deviation }

    /// Cost of ``prepare(isCancelled:)``; `nil` if it is negligible.
    public var preparationCost: PreparationCost? {
        var total: PreparationCost?
        for draw in drawsToCount.map({ allDraws[$0] }) where draw.words == nil {
            // The words are counted by making all elements once.
            total = (total ?? .none) + PreparationCost(memory: 1 << 16, countedElements: draw.count)
        }
        for draw in neededDraws {
            if let cost = allDraws[draw].preparationCost { total = (total ?? .none) + cost }
        }
        for norm in neededNorms {
            let cost = PreparationCost(
                memory: norm.memory,
                countedElements: norm.content.shape.elementCount,
                readWork: work(of: norm.content, region: nil)
            )
            total = (total ?? .none) + cost
        }
        return total
    }

    /// The norms that sent elements need, in an order in which they can be made.
    private var neededNorms: [WeightNorm] {
        let norms = tensors.reduce(into: [:]) { $0.merge($1.content.norms) { norm, _ in norm } }
        return norms.values.sorted { $0.index < $1.index }
    }

    /// Work of making all bytes that are sent, in generator words.
    public var work: Double {
        tensors.reduce(0) { $0 + work(of: $1.content, region: $1.region) }
    }

    /// - Parameter region: The part of the tensor that is made; `nil` for all of it.
    private func work(of content: TensorContent, region: Region?) -> Double {
        let shape = region?.shape ?? content.shape
        var elements = shape.elementCount
        var runs = region?.runCount ?? 1
        var distance = region?.runDistance ?? 0
        var work = 0.0
        for layer in content.layers.reversed() {
            // Each run of an overlaid region is located on its own.
            if let own = layer.region {
                elements = min(elements, own.shape.elementCount)
                runs = max(runs, min(own.runCount, elements))
                distance = max(distance, own.runDistance)
                work += 4 * Double(runs)
            }
            switch layer {
            case .draw(let draw, _):
                work += allDraws[draw].work(elements: elements, runs: runs, runDistance: distance)
            case .copy(let other, let part, _):
                work += self.work(of: other, region: part) + Double(elements)
            case .norm:
                work += 2 * Double(elements)
            case .change(let chain, _):
                work += Double(elements * ElementOperation.work(of: chain))
            }
            (elements, runs, distance) = (shape.elementCount, region?.runCount ?? 1, region?.runDistance ?? 0)
        }
        return work
    }

    /// The draws whose words have to be counted to find the start of a needed draw, in order.
    private var drawsToCount: [Int] {
        var counted: Set<Int> = []
        for draw in neededDraws where allDraws[draw].start == nil && allDraws[draw].words != 0 {
            // Goes back to a draw with a known start, or to one that is in the set already.
            var index = draw
            while allDraws[index].start == nil, let previous = allDraws[index].previous,
                counted.insert(previous).inserted
            {
                index = previous
            }
        }
        return counted.sorted()
    }

    /// Counts the words that depend on values, and computes the state that must be complete before the first byte.
    ///
    /// The result depends on the tensors as they are drawn, and not on the slices.
    ///
    /// - Returns: `nil` if `isCancelled` has turned true.
    /// - Throws: `outOfMemory`.
    public func prepare(isCancelled: () -> Bool = { false }) throws(InitError) -> Preparation? {
        var wasCancelled = false
        // Once `isCancelled` has been true, results are incomplete, even if it turns false again.
        let check = {
            wasCancelled = wasCancelled || isCancelled()
            return wasCancelled
        }
        var starts = allDraws.map(\.start)
        var ends: [Int: StreamPosition] = [:]
        for index in drawsToCount {
            let start = starts[index] ?? allDraws[index].previous.flatMap { ends[$0] } ?? .start
            starts[index] = start
            ends[index] = try allDraws[index].end(from: start, isCancelled: check)
            if wasCancelled { return nil }
        }
        for index in neededDraws where starts[index] == nil {
            starts[index] = allDraws[index].previous.flatMap { ends[$0] }
        }
        var held: [Int: HeldDraw] = [:]
        for draw in neededDraws {
            held[draw] = try allDraws[draw].hold(at: starts[draw] ?? .start, isCancelled: check)
            if wasCancelled { return nil }
        }
        var preparation = Preparation(starts: starts, held: held)
        var norms: [Int: LargeMemory] = [:]
        for norm in neededNorms {
            let elements = prepared(preparation).makeElements(norm.content, Generators())
            norms[norm.index] = try norm.make(of: elements, isCancelled: check)
            if wasCancelled { return nil }
            preparation = Preparation(starts: starts, held: held, norms: norms)
        }
        return preparation
    }

    /// The plan with a preparation: its own, or one of another plan for the same tensors.
    public func prepared(_ preparation: Preparation) -> PreparedPlan {
        PreparedPlan(plan: self, preparation: preparation)
    }

    /// The plan with its own preparation, made now.
    public func prepared() throws(InitError) -> PreparedPlan {
        prepared(try prepare() ?? Preparation(starts: [], held: [:]))
    }

    /// Position of the stream after all draws.
    package func end() throws(InitError) -> StreamPosition {
        var position = StreamPosition.start
        for draw in allDraws[firstDraw...] { position = try draw.end(from: draw.start ?? position) { false } }
        return position
    }
}

/// Result of a plan's preparation.
///
/// A class whose instance is held by each source that reads from it, so that the cache can tell whether it is in use.
public final class Preparation: Sendable {
    fileprivate let starts: [StreamPosition?]
    fileprivate let held: [Int: HeldDraw]
    fileprivate let norms: [Int: LargeMemory]

    fileprivate init(starts: [StreamPosition?], held: [Int: HeldDraw], norms: [Int: LargeMemory] = [:]) {
        self.starts = starts
        self.held = held
        self.norms = norms
    }

    /// Bytes of memory that the preparation takes.
    public var byteCount: Int {
        let ofDraws = held.values.reduce(starts.count * MemoryLayout<StreamPosition?>.stride) { sum, draw in
            switch draw {
            case .elements(let elements): sum + elements.byteCount
            case .mask(let mask): sum + mask.byteCount
            }
        }
        return norms.values.reduce(ofDraws) { $0 + $1.byteCount }
    }
}

/// A plan whose tensors can be read from any byte on, without further preparation.
public struct PreparedPlan: Sendable {
    public let plan: Plan
    private let preparation: Preparation

    fileprivate init(plan: Plan, preparation: Preparation) {
        self.plan = plan
        self.preparation = preparation
    }

    /// Makes a source for the bytes of one sent tensor, or of its requested block; bytes are computed as they are read.
    ///
    /// - Parameter generators: Shared by the tensors of a body, which are read one after the other on one thread.
    public func makeSource(_ tensor: Int = 0, _ generators: Generators = Generators()) -> any ByteSource {
        let planned = plan.tensors[tensor]
        var elements = makeElements(planned.content, generators)
        if let region = planned.region, planned.shape != planned.fullShape {
            elements = SlicedElements(elements, itemSize: planned.drawnDType.itemSize, region: region)
        }
        if planned.dtype != planned.drawnDType {
            elements = ConvertedElements(elements, from: planned.drawnDType, to: planned.dtype)
        }
        return TensorSource(
            elementCount: planned.shape.elementCount,
            itemSize: planned.dtype.itemSize,
            elements: elements,
            preparation: preparation,
            workPerElement: planned.content.workPerElement
        )
    }

    fileprivate func makeElements(_ content: TensorContent, _ generators: Generators) -> any ElementSource {
        var elements: (any ElementSource)?
        for layer in content.layers {
            switch layer {
            case .draw(let draw, let region):
                elements = overlay(elements, makeElements(ofDraw: draw, generators), region, content)
            case .copy(let other, let part, let region):
                var source = makeElements(other, generators)
                if let part { source = SlicedElements(source, itemSize: other.dtype.itemSize, region: part) }
                if other.dtype != content.dtype {
                    source = ConvertedElements(source, from: other.dtype, to: content.dtype)
                }
                elements = overlay(elements, source, region, content)
            case .norm(let norm, let region):
                var source: any ElementSource = FixedElements(itemSize: DType.float32.itemSize, bits: 0)
                if let norms = preparation.norms[norm.index] {
                    source = HeldElements(norms, itemSize: DType.float32.itemSize)
                }
                if content.dtype != .float32 { source = ConvertedElements(source, from: .float32, to: content.dtype) }
                elements = overlay(elements, source, region, content)
            case .change(let chain, let region):
                guard let below = elements, let format = content.dtype.floatFormat else { continue }
                elements = ChangedElements(below, chain, region: region, format: format)
            }
        }
        return elements ?? FixedElements(itemSize: content.dtype.itemSize, bits: 0)
    }

    private func makeElements(ofDraw index: Int, _ generators: Generators) -> any ElementSource {
        let start = preparation.starts.indices.contains(index) ? preparation.starts[index] : nil
        return plan.allDraws[index].makeElements(at: start ?? .start, preparation.held[index], generators)
    }

    private func overlay(
        _ below: (any ElementSource)?,
        _ above: any ElementSource,
        _ region: Region?,
        _ content: TensorContent
    ) -> any ElementSource {
        guard let region else { return above }
        return OverlaidElements(below, above, region: region, itemSize: content.dtype.itemSize)
    }
}
