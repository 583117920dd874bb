extension MutableRawSpan {
    /// Copies bytes to the front of the span, as many as fit.
    ///
    /// - Returns: The number of bytes copied.
    @discardableResult
    public mutating func copy(_ bytes: RawSpan) -> Int {
        let count = Swift.min(byteCount, bytes.byteCount)
        // Unsafe because spans copy byte by byte otherwise, an order of magnitude slower.
        withUnsafeMutableBytes { destination in
            bytes.withUnsafeBytes { source in
                destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: source.prefix(count)))
            }
        }
        return count
    }

    /// Fills the whole span with repetitions of an item's bytes.
    public mutating func fill(repeating item: RawSpan) {
        let itemSize = item.byteCount
        guard itemSize > 0, copy(item) == itemSize else { return }
        var filled = itemSize
        // Each copy doubles the filled part.
        withUnsafeMutableBytes { bytes in
            while filled < bytes.count {
                let count = Swift.min(filled, bytes.count - filled)
                let source = UnsafeRawBufferPointer(rebasing: bytes[..<count])
                UnsafeMutableRawBufferPointer(rebasing: bytes[filled...]).copyMemory(from: source)
                filled += count
            }
        }
    }
}
