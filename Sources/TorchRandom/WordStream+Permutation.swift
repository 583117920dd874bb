extension WordStream {
    /// The first entries of `torch.randperm(count)`, drawn from the current position on.
    ///
    /// The whole permutation takes `count` − 1 words; only the prefix's words are drawn here.
    ///
    /// - Parameters:
    ///   - count: Number of entries, below 214 748 364: from there on, PyTorch draws 64-bit numbers.
    public func randomPermutation(of count: Int, prefix: Int) -> [Int] {
        var order = (0..<UInt32(count)).map { $0 }
        var span = order.mutableSpan
        permute(&span, entries: 0..<prefix)
        return order.prefix(prefix).map { Int($0) }
    }

    /// Draws some entries of a permutation, one word each; all entries before them must have been drawn.
    ///
    /// Each entry is swapped with itself or an entry behind it (Fisher and Yates), as in `torch.randperm`. The last
    /// entry takes no word.
    ///
    /// - Parameter order: All entries: the numbers from 0 on, in the order after the draws so far.
    public func permute(_ order: inout MutableSpan<UInt32>, entries: Range<Int>) {
        var next = entries.lowerBound
        let end = min(entries.upperBound, max(0, order.count - 1))
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: WordStream.wordsAtOnce) { words in
            guard let start = words.baseAddress else { return }
            while next < end {
                let count = min(end - next, words.count)
                draw(count, into: start)
                for word in words.prefix(count) {
                    order.swapAt(next, next + Int(word) % (order.count - next))
                    next += 1
                }
            }
        }
    }

    private static let wordsAtOnce = 1024
}
