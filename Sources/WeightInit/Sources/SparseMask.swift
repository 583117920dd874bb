internal import TorchRandom

/// One bit for each element of a matrix: whether `sparse_` set it to zero.
struct SparseMask: Sendable {
    private let bits: [UInt64]

    /// Draws one permutation of the rows for each column, from a position on, and marks the rows at its front.
    init(_ pattern: SparsePattern, seed: UInt32, start: UInt64, isCancelled: () -> Bool) {
        var bits = [UInt64](repeating: 0, count: (pattern.rows * pattern.columns + 63) / 64)
        let stream = WordStream(seed: seed)
        // Where nothing is zeroed there can be more columns than anybody counts to: of no rows.
        for column in 0..<(pattern.zerosPerColumn > 0 ? pattern.columns : 0) {
            if isCancelled() { break }
            stream.seek(to: start + UInt64(column) * pattern.wordsPerColumn)
            for row in stream.randomPermutation(of: pattern.rows, prefix: pattern.zerosPerColumn) {
                let element = row * pattern.columns + column
                bits[element / 64] |= 1 << UInt64(element % 64)
            }
        }
        self.bits = bits
    }

    var byteCount: Int { bits.count * 8 }

    /// The zeroed elements of a range, in order.
    func zeros(in range: Range<Int>) -> [Int] {
        var zeros: [Int] = []
        var first = range.lowerBound
        while first < range.upperBound {
            let word = first / 64
            let end = min(range.upperBound, (word + 1) * 64)
            var left = bits[word] >> UInt64(first % 64)
            while left != 0 {
                let element = first + left.trailingZeroBitCount
                guard element < end else { break }
                zeros.append(element)
                left &= left - 1
            }
            first = end
        }
        return zeros
    }
}
