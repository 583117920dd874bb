internal import TorchRandom

/// A place in the stream of words that follows a seed.
public struct StreamPosition: Sendable, Equatable {
    /// Words drawn before it.
    public internal(set) var word: UInt64
    /// Where the words lie whose second normal is still to be used: fewer than 16 normals are drawn in pairs, and an odd
    /// one is kept for the next such draw.
    public internal(set) var cachedSample: UInt64?

    public static let start = StreamPosition(word: 0, cachedSample: nil)

    /// Past this the count of words is refused, so that sums of counts cannot overflow.
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
