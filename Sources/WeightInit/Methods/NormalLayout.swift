internal import TorchRandom

/// Positions of the words behind each element of a `normal_` of at least 16 elements.
///
/// Elements are made in blocks of 16 from as many uniforms. If the count is not a multiple of 16, the last 16 elements
/// come from a further block that overlaps the block before it. float32 and float64 first draw uniforms for all
/// elements, the tail's included; float16 and bfloat16 do not draw the tail's uniforms at first.
struct NormalLayout: Sendable {
    let count: Int
    let format: FloatFormat
    /// Number of complete blocks, counted from the front.
    let blocks: Int
    /// Total number of words.
    let words: UInt64
    /// First element of the tail's block; `count` if there is no tail.
    let tailStart: Int
    private let tailWord: UInt64

    static let blockSize = 16

    /// `nil` for fewer than 16 elements, which are drawn in pairs.
    init?(count: Int, format: FloatFormat) {
        let size = NormalLayout.blockSize
        guard count >= size else { return nil }
        self.count = count
        self.format = format
        blocks = count / size
        let perBlock = UInt64(size) * format.wordsPerElement
        if count % size == 0 {
            tailStart = count
            tailWord = 0
            words = UInt64(blocks) * perBlock
        } else {
            tailStart = count - size
            tailWord =
                format == .float16 || format == .bfloat16
                ? UInt64(blocks) * perBlock : UInt64(count) * format.wordsPerElement
            words = tailWord + perBlock
        }
    }

    /// The block that an element comes from: its first element, and its first word counted from the start of the draw.
    func block(of element: Int) -> (firstElement: Int, word: UInt64) {
        if element >= tailStart { return (tailStart, tailWord) }
        let first = element / NormalLayout.blockSize * NormalLayout.blockSize
        return (first, UInt64(first) * format.wordsPerElement)
    }

    /// End of the run of blocks that `element` is in: the tail's start, or `count` in the tail.
    func endOfRun(from element: Int) -> Int {
        element >= tailStart ? count : tailStart
    }
}
