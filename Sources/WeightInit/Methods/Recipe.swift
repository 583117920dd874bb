internal import ByteText
internal import TorchRandom

/// The way to make a tensor's elements, with all parameters resolved to numbers.
enum Recipe: Sendable, Equatable {
    /// The same bits in every element.
    case constant(bits: UInt64)
    /// `start + i · step`, in float64 or in 64-bit integers, and then rounded.
    case range(start: Scalar, step: Scalar)
    case literal(Literal)
    /// 1 on the diagonal of a matrix.
    case eye(rows: Int, columns: Int)
    case dirac(DiracPattern)
    case uniform(from: Double, to: Double)
    case normal(mean: Double, std: Double)
    case truncatedNormal(TruncatedNormal)
    case sparse(SparsePattern, std: Double)
    case orthogonal(rows: Int, columns: Int, gain: Double)

    /// 0 in every element; its bits are the same in all types.
    static let zeros = Recipe.constant(bits: 0)
}

extension Recipe {
    /// The position in the stream after drawing `count` elements; `nil` if that depends on the values drawn.
    ///
    /// - Throws: `tooLarge` past 2^62 words.
    func end(count: Int, dtype: DType, from start: StreamPosition) throws(InitError) -> StreamPosition? {
        guard let format = dtype.floatFormat, count > 0 else { return start }
        switch self {
        case .constant, .range, .literal, .eye, .dirac:
            return start
        case .uniform:
            return try start.advanced(byAtMostLimit: UInt64(count), times: format.wordsPerElement)
        case .normal, .orthogonal:
            return try Recipe.endOfNormals(count: count, format: format, from: start)
        case .sparse(let pattern, _):
            let afterNormals = try Recipe.endOfNormals(count: count, format: format, from: start)
            return try afterNormals.advanced(
                byAtMostLimit: UInt64(pattern.columns),
                times: pattern.wordsPerColumn
            )
        case .truncatedNormal(let truncated):
            // More rounds than can happen must stay within the limit, because the real number is not known yet.
            _ = try start.advanced(
                byAtMostLimit: UInt64(count),
                times: 2 * format.wordsPerElement * truncated.largestRoundCount
            )
            return nil
        }
    }

    private static func endOfNormals(
        count: Int,
        format: FloatFormat,
        from start: StreamPosition
    ) throws(InitError) -> StreamPosition {
        guard let layout = NormalLayout(count: count, format: format) else {
            return start.afterSmallNormals(count)
        }
        _ = try start.advanced(byAtMostLimit: UInt64(count), times: 2 * format.wordsPerElement)
        return start.advanced(by: layout.words)
    }
}

extension StreamPosition {
    func advanced(byAtMostLimit count: UInt64, times factor: UInt64) throws(InitError) -> StreamPosition {
        let (words, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow, words < StreamPosition.limit, word + words < StreamPosition.limit else {
            throw .tooLarge("shape", "more than 2^62 generator words would be drawn")
        }
        return advanced(by: words)
    }
}
