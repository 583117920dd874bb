extension WordStream {
    /// The first entries of `torch.randperm(count)` from the current position on.
    ///
    /// The whole permutation draws `count` − 1 words, of which only those behind the prefix are read here.
    ///
    /// - Parameters:
    ///   - count: Below 214 748 364, from where on PyTorch draws 64-bit numbers.
    public func randomPermutation(of count: Int, prefix: Int) -> [Int] {
        var order = Array(0..<count)
        for index in 0..<min(prefix, max(0, count - 1)) {
            order.swapAt(index, index + Int(next()) % (count - index))
        }
        return Array(order.prefix(prefix))
    }
}
