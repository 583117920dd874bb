internal import ByteSource
internal import TorchRandom

/// One call on a generator: what is drawn, and from where on.
struct Draw: Sendable {
    let recipe: Recipe
    let count: Int
    let dtype: DType
    let seed: UInt32
    /// `nil` behind a draw whose number of words depends on its values.
    var start: StreamPosition?
    /// `nil` where it depends on the values, and has not been counted.
    var words: UInt64?
}

/// What of a draw has to be whole before its first element.
enum HeldDraw: Sendable {
    case bytes([UInt8])
    case mask(SparseMask)
}

extension Draw {
    /// What has to be done before the first element; `nil` where that is next to nothing.
    var preparation: Preparation? {
        switch recipe {
        case .orthogonal:
            // Four copies at most: as drawn, as factored, LAPACK's own, and the result.
            Preparation(memory: 4 * count * dtype.itemSize, countedElements: 0)
        case .sparse(let pattern, _):
            Preparation(memory: count / 8 + pattern.rows * 8, countedElements: 0)
        default:
            nil
        }
    }

    /// Does what has to be done before the first element.
    ///
    /// - Returns: Something unusable where `isCancelled` has turned true.
    /// - Throws: `tooLarge` where memory for it is not to be had.
    func hold(at start: StreamPosition, isCancelled: () -> Bool) throws(InitError) -> HeldDraw? {
        guard let format = dtype.floatFormat else { return nil }
        switch recipe {
        case .sparse(let pattern, _):
            // The permutations follow the normals.
            let afterNormals =
                NormalLayout(count: count, format: format).map { start.advanced(by: $0.words) }
                ?? start.afterSmallNormals(count)
            return .mask(SparseMask(pattern, seed: seed, start: afterNormals.word, isCancelled: isCancelled))
        case .orthogonal(let rows, let columns, let gain):
            return .bytes(
                try OrthogonalMatrix.make(
                    rows: rows,
                    columns: columns,
                    gain: gain,
                    format: format,
                    normals: normals(format, mean: 0, std: 1, at: start),
                    isCancelled: isCancelled
                )
            )
        default:
            return nil
        }
    }

    /// The elements from their first on.
    ///
    /// - Parameter held: What ``hold(at:isCancelled:)`` gave.
    func makeElements(at start: StreamPosition, _ held: HeldDraw?) -> any ElementSource {
        if case .bytes(let bytes)? = held { return StoredElements(bytes: bytes, itemSize: dtype.itemSize) }
        guard let format = dtype.floatFormat else {
            return FixedElements(itemSize: dtype.itemSize, bits: 0)
        }
        switch recipe {
        case .constant(let value):
            return FixedElements(itemSize: format.itemSize, bits: format.bits(value))
        case .eye(let rows, let columns):
            return FixedElements(itemSize: format.itemSize, bits: 0, one: format.bits(1)) { range in
                Draw.diagonal(rows: rows, columns: columns, in: range)
            }
        case .dirac(let pattern):
            return FixedElements(itemSize: format.itemSize, bits: 0, one: format.bits(1), ones: pattern.ones)
        case .uniform(let from, let to):
            return UniformElements(format: format, from: from, to: to, seed: seed, start: start.word)
        case .normal(let mean, let std):
            return normals(format, mean: mean, std: std, at: start)
        case .truncatedNormal(let truncated):
            return truncatedElements(truncated, format, at: start).elements
        case .sparse(_, let std):
            let normals = normals(format, mean: 0, std: std, at: start)
            guard case .mask(let mask)? = held else { return normals }
            return ZeroedElements(normals, itemSize: format.itemSize, zeros: mask.zeros)
        case .orthogonal(_, _, let gain):
            return normals(format, mean: 0, std: gain, at: start)
        }
    }

    /// Where the stream stands afterwards, found by making every element where that is what it takes.
    ///
    /// - Returns: Somewhere else where `isCancelled` has turned true.
    func end(from start: StreamPosition, isCancelled: () -> Bool) throws(InitError) -> StreamPosition {
        if let end = try recipe.end(count: count, dtype: dtype, from: start) { return end }
        guard case .truncatedNormal(let truncated) = recipe, let format = dtype.floatFormat else { return start }
        let made = truncatedElements(truncated, format, at: start)
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
        at start: StreamPosition
    ) -> any ElementSource {
        if let layout = NormalLayout(count: count, format: format) {
            return NormalElements(layout: layout, mean: mean, std: std, seed: seed, start: start.word)
        }
        let values = WordStream(seed: seed).smallNormals(count, at: start)
        return StoredElements(values: values.map { mean.addingProduct($0, std) }, format: format)
    }

    /// A truncated normal's elements, and where it ends once all of them have been made.
    private func truncatedElements(
        _ truncated: TruncatedNormal,
        _ format: FloatFormat,
        at start: StreamPosition
    ) -> (elements: any ElementSource, end: () -> StreamPosition) {
        switch truncated.path {
        case .proposal(let logPeak):
            let elements = ProposalElements(
                count: count,
                format: format,
                truncated: truncated,
                logPeak: logPeak,
                seed: seed,
                start: start.word
            )
            let words = 2 * UInt64(count) * format.wordsPerElement
            return (elements, { start.advanced(by: UInt64(elements.roundsNeeded + 1) &* words) })
        case .rejection:
            if let layout = NormalLayout(count: count, format: format) {
                let elements = RejectionElements(layout: layout, truncated: truncated, seed: seed, start: start.word)
                return (elements, { start.advanced(by: UInt64(elements.roundsNeeded + 1) &* layout.words) })
            }
            let small = SmallTruncatedNormals(truncated, count: count, format: format, seed: seed, start: start)
            return (StoredElements(values: small.values, format: format), { small.end })
        }
    }

    /// About how much work the wanted elements of a tensor are, in generator words, passing over others included.
    func work(of tensor: PlannedTensor) -> Double {
        guard let format = dtype.floatFormat else { return Double(tensor.shape.elementCount) }
        let perElement = Double(format.wordsPerElement) * wordsPerWord
        var work = Double(tensor.shape.elementCount) * perElement
        if let block = tensor.block, drawsByPosition {
            let distance = WordStream.workOfSeeking(UInt64(block.runDistance) * format.wordsPerElement)
            work += Double(block.runCount) * (Double(distance) + 16) * perElement
        }
        return work
    }

    /// The work of having one word that counts, in words.
    private var wordsPerWord: Double {
        guard case .truncatedNormal(let truncated) = recipe else { return 1 }
        return Double(truncated.path == .rejection ? 1 : ProposalElements.workPerProposal) / truncated.acceptance
    }

    private var drawsByPosition: Bool {
        switch recipe {
        case .uniform, .normal, .truncatedNormal, .sparse: true
        case .constant, .eye, .dirac, .orthogonal: false
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

/// `trunc_normal_` by redrawing for fewer than 16 elements, which are drawn in pairs that span the rounds.
struct SmallTruncatedNormals {
    private(set) var values: [Double]
    private(set) var end: StreamPosition

    init(_ truncated: TruncatedNormal, count: Int, format: FloatFormat, seed: UInt32, start: StreamPosition) {
        let stream = WordStream(seed: seed)
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
