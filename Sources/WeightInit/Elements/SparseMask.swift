internal import TorchRandom

/// One bit for each element of a matrix: 1 if `sparse_` sets the element to zero.
struct SparseMask: Sendable {
    private let bits: LargeMemory

    /// Number of permutations' entries drawn between two checks of `isCancelled`: about a millisecond.
    private static let drawnAtOnce = 1 << 16

    /// Bytes of memory for the mask, and for one column's permutation while it is drawn.
    static func memory(_ pattern: SparsePattern) -> Int {
        guard pattern.zerosPerColumn > 0 else { return 0 }
        return wordCount(pattern) * MemoryLayout<UInt64>.stride + pattern.rows * MemoryLayout<UInt32>.stride
    }

    private static func wordCount(_ pattern: SparsePattern) -> Int {
        (pattern.rows * pattern.columns + 63) / 64
    }

    /// Draws one permutation of the rows for each column, from a position on, and marks the rows at its front.
    ///
    /// - Returns: `nil` once `isCancelled` has turned true.
    /// - Throws: `outOfMemory`.
    static func make(
        _ pattern: SparsePattern,
        seed: UInt32,
        start: UInt64,
        isCancelled: () -> Bool
    ) throws(InitError) -> SparseMask? {
        // Skips the loop over the columns: without rows, there can be any number of columns.
        guard pattern.zerosPerColumn > 0, pattern.rows > 0 else {
            return SparseMask(bits: try LargeMemory(byteCount: 0, for: "a mask"))
        }
        let mask = SparseMask(
            bits: try LargeMemory(byteCount: wordCount(pattern) * MemoryLayout<UInt64>.stride, for: "a mask")
        )
        let order = try LargeMemory(byteCount: pattern.rows * MemoryLayout<UInt32>.stride, for: "a permutation")
        let stream = WordStream(seed: seed)
        let isDone = mask.bits.withMutableElements(of: UInt64.self) { bits in
            order.withMutableElements(of: UInt32.self) { order in
                draw(pattern, from: stream, start, &bits, &order, isCancelled)
            }
        }
        return isDone ? mask : nil
    }

    /// - Returns: `false` once `isCancelled` has turned true.
    private static func draw(
        _ pattern: SparsePattern,
        from stream: WordStream,
        _ start: UInt64,
        _ bits: inout MutableSpan<UInt64>,
        _ order: inout MutableSpan<UInt32>,
        _ isCancelled: () -> Bool
    ) -> Bool {
        var budget = drawnAtOnce
        /// Calls `body` for all entries, a piece at a time. Checks `isCancelled` each time that the budget is spent.
        func forPieces(of count: Int, _ body: (Range<Int>) -> Void) -> Bool {
            var first = 0
            while first < count {
                let end = min(count, first + budget)
                body(first..<end)
                budget -= end - first
                first = end
                guard budget == 0 else { continue }
                budget = drawnAtOnce
                if isCancelled() { return false }
            }
            return true
        }
        let zeros = pattern.zerosPerColumn
        guard forPieces(of: pattern.rows, { for entry in $0 { order[entry] = UInt32(entry) } }) else { return false }
        for column in 0..<pattern.columns {
            stream.seek(to: start + UInt64(column) * pattern.wordsPerColumn)
            let isDrawn = forPieces(of: zeros) { entries in
                stream.permute(&order, entries: entries)
                for entry in entries {
                    let element = Int(order[entry]) * pattern.columns + column
                    bits[element / 64] |= 1 << UInt64(element % 64)
                }
            }
            guard isDrawn, column + 1 < pattern.columns else { return isDrawn }
            // The next column begins with the rows in order again. Rows that left their place behind the front were
            // swapped into the front, so only these rows and the front are put back.
            guard
                forPieces(
                    of: zeros,
                    { for entry in $0 where order[entry] >= zeros { order[Int(order[entry])] = order[entry] } }
                ), forPieces(of: zeros, { for entry in $0 { order[entry] = UInt32(entry) } })
            else { return false }
        }
        return true
    }

    var byteCount: Int { bits.byteCount }

    /// The zeroed elements of a range, in order.
    func zeros(in range: Range<Int>) -> [Int] {
        var zeros: [Int] = []
        bits.withBytes { bits in
            guard bits.byteCount > 0 else { return }
            var first = range.lowerBound
            while first < range.upperBound {
                let word = first / 64
                let end = min(range.upperBound, (word + 1) * 64)
                var left = bits.unsafeLoad(fromByteOffset: 8 * word, as: UInt64.self) >> UInt64(first % 64)
                while left != 0 {
                    let element = first + left.trailingZeroBitCount
                    guard element < end else { break }
                    zeros.append(element)
                    left &= left - 1
                }
                first = end
            }
        }
        return zeros
    }
}
