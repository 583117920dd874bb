internal import TorchRandom

/// A place in the stream of words that follows a seed.
public struct StreamPosition: Sendable, Equatable {
    /// Number of words drawn before this position.
    public internal(set) var word: UInt64
    /// First word of the pair whose second normal has not been used; `nil` if there is none.
    ///
    /// Fewer than 16 normals are drawn in pairs. If their number is odd, the last pair's second normal is cached for
    /// the next draw of fewer than 16.
    public internal(set) var cachedSample: UInt64?

    public static let start = StreamPosition(word: 0, cachedSample: nil)

    /// Limit on the number of words, so that sums of counts cannot overflow.
    static let limit: UInt64 = 1 << 62

    func advanced(by words: UInt64) -> StreamPosition {
        StreamPosition(word: word + words, cachedSample: cachedSample)
    }

    /// The position after `count` < 16 normals.
    func afterSmallNormals(_ count: Int) -> StreamPosition {
        let fresh = max(0, count - (cachedSample == nil ? 0 : 1))
        guard count > 0, fresh > 0 else {
            return count == 0 ? self : StreamPosition(word: word, cachedSample: nil)
        }
        let pairs = UInt64(fresh + 1) / 2
        let end = word + 4 * pairs
        return StreamPosition(word: end, cachedSample: fresh % 2 == 1 ? end - 4 : nil)
    }
}

extension WordStream {
    /// The standard normals that `normal_` draws for fewer than 16 elements, unscaled, in float64.
    func smallNormals(_ count: Int, at position: StreamPosition) -> [Double] {
        var values: [Double] = []
        if let cached = position.cachedSample, count > 0 {
            seek(to: cached)
            values.append(ScalarTransforms.normalPair(u53(), u53()).kept)
        }
        seek(to: position.word)
        while values.count < count {
            let pair = ScalarTransforms.normalPair(u53(), u53())
            values.append(pair.now)
            if values.count < count { values.append(pair.kept) }
        }
        return values
    }
}
