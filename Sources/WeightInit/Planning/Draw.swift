internal import ByteSource
public import ByteText
internal import TorchRandom

/// One call on a generator: the method's recipe, and the place in the stream from which it draws.
///
/// A class, because draws never change, and copying a reference costs less than copying a draw.
public final class Draw: Sendable {
    /// Canonical name of the method.
    public let method: Text
    /// The distribution or value of the elements, in one line.
    public let formula: String
    /// The method's arguments, resolved to numbers.
    public let resolution: InitMethod.Resolution
    /// Number of elements drawn.
    public let count: Int
    public let dtype: DType
    /// The 32 bits that the generator was seeded with.
    public let seed: UInt32
    /// Position of the first word; `nil` if an earlier draw's number of words depends on its values.
    public let start: StreamPosition?
    /// Number of words drawn; `nil` if it depends on the values.
    public let words: UInt64?
    /// Index of the step that draws; `nil` for entries and rules.
    public let step: Int?
    /// Index of the previous draw on the same stream.
    let previous: Int?

    var recipe: Recipe { resolution.recipe }

    /// Draws from the position of a stream, and moves the stream behind the draw.
    ///
    /// - Parameter index: Index of this draw.
    /// - Throws: `tooLarge` past 2^62 words.
    init(
        method: Text,
        formula: String,
        resolution: InitMethod.Resolution,
        count: Int,
        dtype: DType,
        step: Int? = nil,
        index: Int,
        on stream: inout DrawStream
    ) throws(InitError) {
        (self.method, self.formula, self.resolution, self.step) = (method, formula, resolution, step)
        (self.count, self.dtype) = (count, dtype)
        (seed, start, previous) = (stream.seed, stream.position, stream.last)
        (words, stream.position) = try Draw.words(of: resolution.recipe, count: count, dtype: dtype, from: start)
        stream.last = index
    }
}

/// State computed before a draw's first element.
enum HeldDraw: Sendable {
    case elements(LargeMemory)
    case mask(SparseMask)
}

extension Draw {
    /// Finds the number of words unless it depends on the values; the start need not be known.
    ///
    /// - Returns: Also the position after the draw; `nil` if it depends on values.
    /// - Throws: `tooLarge` past 2^62 words.
    private static func words(
        of recipe: Recipe,
        count: Int,
        dtype: DType,
        from start: StreamPosition?
    ) throws(InitError) -> (words: UInt64?, end: StreamPosition?) {
        if let start {
            let end = try recipe.end(count: count, dtype: dtype, from: start)
            return (end.map { $0.word - start.word }, end)
        }
        // Only a cached sample at the start changes the number of words; the number is known if it is the same with and
        // without one.
        let start = StreamPosition.start
        let plain = try recipe.end(count: count, dtype: dtype, from: start)
        let cached = try recipe.end(count: count, dtype: dtype, from: StreamPosition(word: 0, cachedSample: 0))
        return (plain?.word == cached?.word ? plain?.word : nil, nil)
    }

    /// Cost of ``hold(at:isCancelled:)``; `nil` if it is negligible.
    var preparationCost: PreparationCost? {
        switch recipe {
        case .orthogonal(let rows, let columns, _):
            PreparationCost(
                memory: OrthogonalMatrix.memory(rows: rows, columns: columns, format: dtype.floatFormat ?? .float32),
                countedElements: 0
            )
        case .sparse(let pattern, _):
            PreparationCost(memory: SparseMask.memory(pattern), countedElements: 0)
        default:
            nil
        }
    }

    /// Computes the state that must be complete before the first element.
    ///
    /// - Returns: `nil` if the draw needs no state. Once `isCancelled` has turned true, the result is unusable.
    /// - Throws: `outOfMemory`.
    func hold(at start: StreamPosition, isCancelled: () -> Bool) throws(InitError) -> HeldDraw? {
        guard let format = dtype.floatFormat else { return nil }
        switch recipe {
        case .sparse(let pattern, _):
            // The permutations follow the normals.
            let afterNormals =
                NormalLayout(count: count, format: format).map { start.advanced(by: $0.words) }
                ?? start.afterSmallNormals(count)
            return try SparseMask.make(pattern, seed: seed, start: afterNormals.word, isCancelled: isCancelled)
                .map { .mask($0) }
        case .orthogonal(let rows, let columns, let gain):
            return try OrthogonalMatrix.make(
                rows: rows,
                columns: columns,
                gain: gain,
                format: format,
                normals: normals(format, mean: 0, std: 1, at: start, Generators()),
                isCancelled: isCancelled
            ).map { .elements($0) }
        default:
            return nil
        }
    }

    /// Makes a source of the draw's elements.
    ///
    /// - Parameters:
    ///   - held: The result of ``hold(at:isCancelled:)``.
    ///   - generators: Lends the generators that the source needs.
    func makeElements(at start: StreamPosition, _ held: HeldDraw?, _ generators: Generators) -> any ElementSource {
        if case .elements(let elements)? = held { return HeldElements(elements, itemSize: dtype.itemSize) }
        switch recipe {
        case .constant(let bits): return FixedElements(itemSize: dtype.itemSize, bits: bits)
        case .range(let start, let step): return RangeElements(start: start, step: step, dtype: dtype)
        case .literal(let literal): return StoredElements(bytes: literal.bytes, itemSize: dtype.itemSize)
        default: break
        }
        // All other recipes make floats only.
        guard let format = dtype.floatFormat else { return FixedElements(itemSize: dtype.itemSize, bits: 0) }
        switch recipe {
        case .constant, .range, .literal: return FixedElements(itemSize: dtype.itemSize, bits: 0)
        case .eye(let rows, let columns):
            return FixedElements(itemSize: format.itemSize, bits: 0, one: format.bits(1)) { range in
                Draw.diagonal(rows: rows, columns: columns, in: range)
            }
        case .dirac(let pattern):
            return FixedElements(itemSize: format.itemSize, bits: 0, one: format.bits(1), ones: pattern.ones)
        case .uniform(let from, let to):
            return UniformElements(format: format, from: from, to: to, seed: seed, start: start.word, generators)
        case .normal(let mean, let std):
            return normals(format, mean: mean, std: std, at: start, generators)
        case .truncatedNormal(let truncated):
            return truncatedElements(truncated, format, at: start, generators).elements
        case .sparse(_, let std):
            let normals = normals(format, mean: 0, std: std, at: start, generators)
            guard case .mask(let mask)? = held else { return normals }
            return ZeroedElements(normals, itemSize: format.itemSize, zeros: mask.zeros)
        case .orthogonal(_, _, let gain):
            return normals(format, mean: 0, std: gain, at: start, generators)
        }
    }

    /// Finds the position in the stream after the draw. If it depends on the values, every element is made.
    ///
    /// - Returns: The position; an arbitrary one if `isCancelled` has turned true.
    func end(from start: StreamPosition, isCancelled: () -> Bool) throws(InitError) -> StreamPosition {
        if let end = try recipe.end(count: count, dtype: dtype, from: start) { return end }
        guard case .truncatedNormal(let truncated) = recipe, let format = dtype.floatFormat else { return start }
        let made = truncatedElements(truncated, format, at: start, Generators())
        let source = TensorSource(elementCount: count, itemSize: format.itemSize, elements: made.elements)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var position = 0
        while position < source.byteCount, !isCancelled() {
            var storage = buffer.mutableSpan
            var bytes = storage.mutableBytes
            position += source.read(at: position, into: &bytes)
        }
        return made.end()
    }

    private func normals(
        _ format: FloatFormat,
        mean: Double,
        std: Double,
        at start: StreamPosition,
        _ generators: Generators
    ) -> any ElementSource {
        if let layout = NormalLayout(count: count, format: format) {
            return NormalElements(layout: layout, mean: mean, std: std, seed: seed, start: start.word, generators)
        }
        let stream = generators.take(seed: seed)
        defer { generators.giveBack(stream) }
        let values = stream.smallNormals(count, at: start)
        return StoredElements(values: values.map { mean.addingProduct($0, std) }, format: format)
    }

    /// A truncated normal's elements, and its end position, which is valid once all elements have been made.
    private func truncatedElements(
        _ truncated: TruncatedNormal,
        _ format: FloatFormat,
        at start: StreamPosition,
        _ generators: Generators
    ) -> (elements: any ElementSource, end: () -> StreamPosition) {
        switch truncated.path {
        case .proposal(let logPeak):
            let elements = ProposalElements(
                count: count,
                format: format,
                truncated: truncated,
                logPeak: logPeak,
                seed: seed,
                start: start.word,
                generators
            )
            let words = 2 * UInt64(count) * format.wordsPerElement
            return (elements, { start.advanced(by: UInt64(elements.roundsNeeded + 1) &* words) })
        case .rejection:
            if let layout = NormalLayout(count: count, format: format) {
                let elements = RejectionElements(
                    layout: layout,
                    truncated: truncated,
                    seed: seed,
                    start: start.word,
                    generators
                )
                return (elements, { start.advanced(by: UInt64(elements.roundsNeeded + 1) &* layout.words) })
            }
            let stream = generators.take(seed: seed)
            defer { generators.giveBack(stream) }
            let small = SmallTruncatedNormals(truncated, count: count, format: format, stream, start: start)
            return (StoredElements(values: small.values, format: format), { small.end })
        }
    }

    /// Work of making `elements` elements in `runs` runs, in generator words, seeks included.
    ///
    /// - Parameter runDistance: Number of elements between the starts of two runs.
    func work(elements: Int, runs: Int, runDistance: Int) -> Double {
        guard let format = dtype.floatFormat else { return Double(elements) }
        let perElement = Double(format.wordsPerElement) * wordsPerWord
        var work = Double(elements) * perElement
        if runs > 0, drawsByPosition {
            let distance = WordStream.workOfSeeking(UInt64(runDistance) * format.wordsPerElement)
            work += Double(runs) * (Double(distance) + 16) * perElement
        }
        return work
    }

    /// Generated words for each word of the result: more than 1 if draws are rejected.
    private var wordsPerWord: Double {
        guard case .truncatedNormal(let truncated) = recipe else { return 1 }
        return Double(truncated.path == .rejection ? 1 : ProposalElements.workPerProposal) / truncated.acceptance
    }

    /// `true` if PyTorch would draw other elements for memory that has gaps.
    var needsContiguousMemory: Bool {
        switch recipe {
        case .constant, .range, .literal, .eye, .dirac, .uniform: false
        case .normal, .truncatedNormal, .sparse, .orthogonal: true
        }
    }

    var isOrthogonal: Bool {
        if case .orthogonal = recipe { true } else { false }
    }

    private var drawsByPosition: Bool {
        switch recipe {
        case .uniform, .normal, .truncatedNormal, .sparse: true
        case .constant, .range, .literal, .eye, .dirac, .orthogonal: false
        }
    }

    private static func diagonal(rows: Int, columns: Int, in range: Range<Int>) -> [Int] {
        guard columns > 0, !range.isEmpty else { return [] }
        let lines = range.lowerBound / columns...(range.upperBound - 1) / columns
        return lines.compactMap { line in
            let element = line * columns + line
            return line < columns && range.contains(element) ? element : nil
        }
    }
}

/// `trunc_normal_` by redrawing for fewer than 16 elements, which are drawn in pairs; a pair may belong to two rounds.
struct SmallTruncatedNormals {
    private(set) var values: [Double]
    private(set) var end: StreamPosition

    init(
        _ truncated: TruncatedNormal,
        count: Int,
        format: FloatFormat,
        _ stream: WordStream,
        start: StreamPosition
    ) {
        let (low, high) = (format.rounded(truncated.lower), format.rounded(truncated.upper))
        values = []
        end = start
        var rejected = Array(0..<count)
        while !rejected.isEmpty {
            let drawn = stream.smallNormals(count, at: end).map { z in
                format.rounded(truncated.mean.addingProduct(z, truncated.std))
            }
            end = end.afterSmallNormals(count)
            if values.isEmpty { values = drawn }
            rejected = rejected.filter { index in
                values[index] = drawn[index]
                return drawn[index] < low || drawn[index] > high
            }
        }
    }
}
