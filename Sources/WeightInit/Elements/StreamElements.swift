private import ByteSource
internal import TorchRandom

/// `uniform_`: each element from its own words.
final class UniformElements: ElementSource {
    private let format: FloatFormat
    private let from: Double
    private let to: Double
    private let words: DrawWords

    init(format: FloatFormat, from: Double, to: Double, seed: UInt32, start: UInt64, _ generators: Generators) {
        self.format = format
        self.from = from
        self.to = to
        words = DrawWords(seed: seed, start: start, generators)
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let seeking = words.seek(to: UInt64(range.lowerBound) * format.wordsPerElement)
        words.stream.fillUniform(format, from: from, to: to, elements: range.count, into: &destination)
        return (range.count, seeking + range.count * Int(format.wordsPerElement))
    }
}

/// `normal_` of at least 16 elements: in blocks of 16.
final class NormalElements: ElementSource {
    let layout: NormalLayout
    private let mean: Double
    private let std: Double
    private let words: DrawWords
    /// The last block of which a part was read, kept because the rest is often read next.
    private var partial: (firstElement: Int, bytes: [UInt8])?

    init(layout: NormalLayout, mean: Double, std: Double, seed: UInt32, start: UInt64, _ generators: Generators) {
        self.layout = layout
        self.mean = mean
        self.std = std
        words = DrawWords(seed: seed, start: start, generators)
    }

    /// Repeats the draw of `other` from the word at which that one ends.
    init(after other: NormalElements) {
        layout = other.layout
        mean = other.mean
        std = other.std
        words = other.words.after(other.layout.words)
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let size = NormalLayout.blockSize
        let itemSize = layout.format.itemSize
        var element = range.lowerBound
        var work = 0
        while element < range.upperBound {
            let block = layout.block(of: element)
            let runEnd = min(range.upperBound, layout.endOfRun(from: element))
            let wholeBlocks = element == block.firstElement ? (runEnd - element) / size : 0
            let from = (element - range.lowerBound) * itemSize
            if wholeBlocks > 0 {
                var rest = destination._mutatingExtracting(from..<from + wholeBlocks * size * itemSize)
                work += makeBlocks(wholeBlocks, at: block.word, into: &rest)
                element += wholeBlocks * size
            } else {
                let last = min(runEnd, block.firstElement + size)
                let skipped = (element - block.firstElement) * itemSize
                var rest = destination._mutatingExtracting(from...)
                let bytes = bytes(of: block, work: &work)
                rest.copy(bytes.span.bytes.extracting(skipped..<skipped + (last - element) * itemSize))
                element = last
            }
        }
        return (range.count, work)
    }

    /// Makes whole blocks from a word on, counted from the start of the draw.
    ///
    /// - Returns: The work that this took, in generator words.
    func makeBlocks(_ count: Int, at word: UInt64, into destination: inout MutableRawSpan) -> Int {
        let seeking = words.seek(to: word)
        words.stream.fillNormalBlocks(layout.format, mean: mean, std: std, blocks: count, into: &destination)
        return seeking + count * NormalLayout.blockSize * Int(layout.format.wordsPerElement)
    }

    /// Draws `blocks`, counted from the block that begins at `word` of the draw, and replaces the pending elements.
    ///
    /// - Returns: The range of blocks with elements that are still pending, and the work that this took, in generator
    ///   words.
    func redraw(
        _ blocks: Range<Int>,
        at word: UInt64,
        of values: inout MutableRawSpan,
        pending: inout [UInt16],
        _ rejection: BlockRejection
    ) -> (left: Range<Int>, work: Int) {
        let wordsPerBlock = NormalLayout.blockSize * Int(layout.format.wordsPerElement)
        let seeking = words.seek(to: word &+ UInt64(blocks.lowerBound * wordsPerBlock))
        let left = words.stream.redrawNormalBlocks(
            rejection,
            mean: mean,
            std: std,
            blocks: blocks,
            of: &values,
            pending: &pending
        )
        return (left, seeking + blocks.count * wordsPerBlock)
    }

    private func bytes(of block: (firstElement: Int, word: UInt64), work: inout Int) -> [UInt8] {
        if let partial, partial.firstElement == block.firstElement {
            work += NormalLayout.blockSize
            return partial.bytes
        }
        var bytes = [UInt8](repeating: 0, count: NormalLayout.blockSize * layout.format.itemSize)
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        work += makeBlocks(1, at: block.word, into: &span)
        partial = (block.firstElement, bytes)
        return bytes
    }
}

/// Elements of an array in memory.
final class StoredElements: ElementSource {
    private let bytes: [UInt8]
    private let itemSize: Int

    init(bytes: [UInt8], itemSize: Int) {
        self.bytes = bytes
        self.itemSize = itemSize
    }

    convenience init(values: [Double], format: FloatFormat) {
        let itemSize = format.itemSize
        var bytes = [UInt8](repeating: 0, count: values.count * itemSize)
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        for (index, value) in values.enumerated() {
            span.store(format.bits(value), as: format, at: index)
        }
        self.init(bytes: bytes, itemSize: itemSize)
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let from = range.lowerBound * itemSize
        let bytes = self.bytes
        destination.copy(bytes.span.bytes.extracting(from..<from + range.count * itemSize))
        return (range.count, range.count)
    }
}

/// Another source's elements, some of which are set to zero.
final class ZeroedElements: ElementSource {
    private let elements: any ElementSource
    private let itemSize: Int
    private let zeros: (Range<Int>) -> [Int]
    /// Largest number of elements that a call makes, so that the list of zeros is short.
    private let step = 1 << 14

    /// - Parameter zeros: The elements of a range that are zero.
    init(_ elements: any ElementSource, itemSize: Int, zeros: @escaping (Range<Int>) -> [Int]) {
        self.elements = elements
        self.itemSize = itemSize
        self.zeros = zeros
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let first = range.lowerBound
        let filled = elements.fill(first..<min(range.upperBound, first + step), into: &destination)
        for element in zeros(first..<first + filled.elements) {
            destination.store(0, byteCount: itemSize, at: (element - first) * itemSize)
        }
        return filled
    }
}
