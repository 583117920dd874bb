private import ByteSource
internal import TorchRandom

/// What a truncated normal needs of its source besides elements.
protocol RoundCounting: AnyObject {
    /// The rounds of redrawing that ended with every element accepted, after all elements have been made once.
    var roundsNeeded: Int { get }
}

/// `trunc_normal_` by redrawing normals: each round is a further `normal_` of the whole tensor in the same stream, of
/// which only the blocks that hold rejected elements are made.
final class RejectionElements: ElementSource, RoundCounting {
    private var maker: RejectionMaker

    init(layout: NormalLayout, truncated: TruncatedNormal, seed: UInt32, start: UInt64) {
        maker = RejectionMaker(layout: layout, truncated: truncated, seed: seed, start: start)
    }

    var roundsNeeded: Int { maker.roundsNeeded }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        maker.fill(range, into: &destination)
    }
}

/// The state of `RejectionElements`; a value, because only of a value's arrays spans can be had.
private struct RejectionMaker {
    private let layout: NormalLayout
    private let truncated: TruncatedNormal
    private let rejection: BlockRejection
    private let seed: UInt32
    private let start: UInt64
    private var rounds: [NormalElements] = []
    private(set) var roundsNeeded = 0

    /// Blocks that are made at a time: few enough to stay in the processor's nearest cache.
    private static let largestChunk = 256
    /// Room for as many blocks; as integers, so that elements are aligned.
    private var values: [UInt64]
    private var redrawn: [UInt64]

    init(layout: NormalLayout, truncated: TruncatedNormal, seed: UInt32, start: UInt64) {
        self.layout = layout
        self.truncated = truncated
        rejection = BlockRejection(layout.format, low: truncated.lower, high: truncated.upper)
        self.seed = seed
        self.start = start
        values = [UInt64](
            repeating: 0,
            count: RejectionMaker.largestChunk * NormalLayout.blockSize * layout.format.itemSize / 8
        )
        redrawn = values
    }

    /// Blocks that have been begun, or are made: those in `values`.
    private var chunk = Chunk(blocks: 0, firstElement: 0, word: 0)

    private struct Chunk {
        var blocks: Int
        var firstElement: Int
        var word: UInt64
        /// Rounds that have been drawn, and how many blocks wait for the next.
        var rounds = 0
        var left = 0
        /// A bit for each element that has not been accepted, a mask for each block.
        var pending: [UInt16] = []
        var outside: [UInt16] = []

        var isMade: Bool { rounds > 0 && left == 0 }
        var elements: Range<Int> { firstElement..<firstElement + blocks * NormalLayout.blockSize }
    }

    mutating func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let itemSize = layout.format.itemSize
        let first = layout.block(of: range.lowerBound)
        let runEnd = min(range.upperBound, layout.endOfRun(from: range.lowerBound))
        var work = 0
        // The tail's block overlaps the one before it, and is another one.
        if !chunk.elements.contains(range.lowerBound) || (chunk.firstElement == layout.tailStart) != isTail(first) {
            work += begin(at: first, through: runEnd)
        }
        while !chunk.isMade, work < TensorSource.workPerRead { work += drawRound() }
        guard chunk.isMade else { return (0, work) }
        roundsNeeded = max(roundsNeeded, chunk.rounds - 1)
        let end = min(runEnd, chunk.elements.upperBound)
        let from = (range.lowerBound - chunk.firstElement) * itemSize
        destination.copy(values.span.bytes.extracting(from..<from + (end - range.lowerBound) * itemSize))
        // Copying is not free.
        return (end - range.lowerBound, work + (end - range.lowerBound) / 4 + 1)
    }

    private func isTail(_ block: (firstElement: Int, word: UInt64)) -> Bool {
        block.firstElement == layout.tailStart
    }

    /// Draws the blocks that hold the elements up to one for the first time.
    ///
    /// - Returns: The work that this took, in generator words.
    private mutating func begin(at first: (firstElement: Int, word: UInt64), through end: Int) -> Int {
        let size = NormalLayout.blockSize
        let needed = (end - first.firstElement + size - 1) / size
        let blocks = isTail(first) ? 1 : min(needed, RejectionMaker.largestChunk)
        var chunk = Chunk(blocks: blocks, firstElement: first.firstElement, word: first.word)
        let used = 0..<blocks * size * layout.format.itemSize
        let work = values.draw(normals(of: 0), blocks, at: first.word, to: used)
        chunk.pending = [UInt16](repeating: 0, count: blocks)
        chunk.outside = chunk.pending
        rejection.findOutside(values.span.bytes.extracting(used), masks: &chunk.pending)
        // What the tail block overlaps is not looked at: it takes part in no round.
        let hidden = isTail(first) ? 0 : max(0, first.firstElement + blocks * size - layout.tailStart)
        chunk.pending[blocks - 1] &= 0xffff >> UInt16(hidden)
        chunk.left = chunk.pending.count { $0 != 0 }
        chunk.rounds = 1
        self.chunk = chunk
        return work
    }

    /// Redraws what is outside.
    ///
    /// - Returns: The work that this took, in generator words.
    private mutating func drawRound() -> Int {
        let blockBytes = NormalLayout.blockSize * layout.format.itemSize
        let wordsPerBlock = UInt64(NormalLayout.blockSize) * layout.format.wordsPerElement
        var chunk = self.chunk
        let blocks = 0..<chunk.blocks
        // Where many wait, making them all at once costs less than moving from one to the next.
        let runs =
            chunk.left * 4 > chunk.blocks ? [blocks] : blocks.filter { chunk.pending[$0] != 0 }.map { $0..<$0 + 1 }
        let normals = normals(of: chunk.rounds)
        var work = 0
        for run in runs {
            let bytes = run.lowerBound * blockBytes..<run.upperBound * blockBytes
            let runWord = chunk.word + UInt64(run.lowerBound) * wordsPerBlock
            work += redrawn.draw(normals, run.count, at: runWord, to: bytes)
            rejection.findOutside(redrawn.span.bytes.extracting(bytes), masks: &chunk.outside, from: run.lowerBound)
        }
        let (rejection, redrawn, outside) = (rejection, redrawn, chunk.outside)
        var storage = values.mutableSpan
        var bytes = storage.mutableBytes
        chunk.left = rejection.merge(redrawn.span.bytes, into: &bytes, pending: &chunk.pending, outside: outside)
        chunk.rounds += 1
        self.chunk = chunk
        return work
    }

    /// The normals of a round.
    private mutating func normals(of round: Int) -> NormalElements {
        while rounds.count <= round {
            rounds.append(
                NormalElements(
                    layout: layout,
                    mean: truncated.mean,
                    std: truncated.std,
                    seed: seed,
                    start: start &+ UInt64(rounds.count) &* layout.words
                )
            )
        }
        return rounds[round]
    }
}

extension [UInt64] {
    /// Has blocks of normals, counted from a word on, drawn to a part of the array's bytes.
    ///
    /// - Returns: The work that this took, in generator words.
    fileprivate mutating func draw(
        _ normals: NormalElements,
        _ blocks: Int,
        at word: UInt64,
        to bytes: Range<Int>
    ) -> Int {
        var storage = mutableSpan
        var all = storage.mutableBytes
        var part = all._mutatingExtracting(bytes)
        return normals.makeBlocks(blocks, at: word, into: &part)
    }
}

/// `trunc_normal_` by uniform proposals: each round is two further `uniform_` of the whole tensor in the same stream,
/// the proposals and what decides about them.
final class ProposalElements: ElementSource, RoundCounting {
    private let format: FloatFormat
    private let density: LogDensity
    private let lower: Double
    private let upper: Double
    private let wordsPerDraw: UInt64
    private let seed: UInt32
    private let start: UInt64
    private var rounds: [(proposals: UniformElements, deciders: UniformElements)] = []
    private(set) var roundsNeeded = 0

    init(
        count: Int,
        format: FloatFormat,
        truncated: TruncatedNormal,
        logPeak: Double,
        seed: UInt32,
        start: UInt64
    ) {
        self.format = format
        density = LogDensity(mean: truncated.mean, std: truncated.std, logPeak: logPeak, format: format)
        lower = truncated.lower
        upper = truncated.upper
        wordsPerDraw = UInt64(count) * format.wordsPerElement
        self.seed = seed
        self.start = start
    }

    /// The work of deciding about one proposal, in generator words: two logarithms for the two or four words drawn.
    static let workPerProposal = 64

    /// Elements made at a time: enough to use a block of generator state, few enough to keep a read short.
    private static let largestStep = 64
    /// Fewer at first, while the cursors of the rounds have yet to be moved there.
    private var step = 1
    /// Elements that have been begun, or are made.
    private var made = Proposals(0..<0)

    private struct Proposals {
        let elements: Range<Int>
        /// The latest proposal for each of the elements.
        var bits: [UInt64]
        /// The elements that have not accepted theirs, those of the round under way in front: `next` have had their turn
        /// in it, of which the first `kept` go on to the next round.
        var pending: [Int]
        var next = 0
        var kept = 0
        var round = 0

        init(_ elements: Range<Int>) {
            self.elements = elements
            bits = [UInt64](repeating: 0, count: elements.count)
            pending = Array(elements)
        }
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        if !made.elements.contains(range.lowerBound) {
            made = Proposals(range.prefix(step))
            step = min(2 * step, ProposalElements.largestStep)
        }
        var work = 0
        while !made.pending.isEmpty, work < TensorSource.workPerRead { work += propose() }
        guard made.pending.isEmpty else { return (0, work) }
        roundsNeeded = max(roundsNeeded, made.round)
        let given = range.clamped(to: made.elements)
        for element in given {
            let offset = (element - given.lowerBound) * format.itemSize
            destination.store(made.bits[element - made.elements.lowerBound], byteCount: format.itemSize, at: offset)
        }
        return (given.count, work + given.count)
    }

    /// Decides about one proposal for one element.
    ///
    /// - Returns: The work that this took, in generator words.
    private func propose() -> Int {
        let element = made.pending[made.next]
        let draws = draws(of: made.round)
        var work = ProposalElements.workPerProposal
        let proposal = bits(of: element, from: draws.proposals, work: &work)
        let decider = format.value(bits: bits(of: element, from: draws.deciders, work: &work))
        made.bits[element - made.elements.lowerBound] = proposal
        if density.logarithm(decider) > density(format.value(bits: proposal)) {
            made.pending[made.kept] = element
            made.kept += 1
        }
        made.next += 1
        if made.next == made.pending.count {
            made.pending.removeLast(made.next - made.kept)
            (made.next, made.kept) = (0, 0)
            if !made.pending.isEmpty { made.round += 1 }
        }
        return work
    }

    private func draws(of round: Int) -> (proposals: UniformElements, deciders: UniformElements) {
        while rounds.count <= round {
            let first = start &+ UInt64(rounds.count) &* 2 &* wordsPerDraw
            rounds.append(
                (
                    UniformElements(format: format, from: lower, to: upper, seed: seed, start: first),
                    UniformElements(format: format, from: 0, to: 1, seed: seed, start: first &+ wordsPerDraw)
                )
            )
        }
        return rounds[round]
    }

    private func bits(of element: Int, from draw: UniformElements, work: inout Int) -> UInt64 {
        var bytes = [UInt8](repeating: 0, count: format.itemSize)
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        work += draw.fill(element..<element + 1, into: &span).work
        return format.bits(in: bytes, at: 0)
    }
}

extension FloatFormat {
    /// The bits of an element of a little-endian array.
    func bits(in bytes: [UInt8], at index: Int) -> UInt64 {
        bytes[index * itemSize..<(index + 1) * itemSize].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// An element of a little-endian array.
    func value(in bytes: [UInt8], at index: Int) -> Double {
        value(bits: bits(in: bytes, at: index))
    }
}
