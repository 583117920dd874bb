private import ByteSource
internal import TorchRandom

/// A source of truncated normals that counts its rounds.
protocol RoundCounting: AnyObject {
    /// Number of rounds of redrawing until every element was accepted; valid after all elements have been made once.
    var roundsNeeded: Int { get }
}

/// `trunc_normal_` by redrawing normals: each round is a further `normal_` of the whole tensor in the same stream. Only
/// the blocks from the first to the last rejected element are made.
final class RejectionElements: ElementSource, RoundCounting {
    private var maker: RejectionMaker

    init(layout: NormalLayout, truncated: TruncatedNormal, seed: UInt32, start: UInt64, _ generators: Generators) {
        maker = RejectionMaker(layout: layout, truncated: truncated, seed: seed, start: start, generators)
    }

    var roundsNeeded: Int { maker.roundsNeeded }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        maker.fill(range, into: &destination)
    }
}

/// The state of `RejectionElements`; a struct, because only arrays in a struct give spans.
private struct RejectionMaker {
    private let layout: NormalLayout
    private let rejection: BlockRejection
    private var rounds: [NormalElements]
    private(set) var roundsNeeded = 0

    /// Largest number of blocks made at a time: few enough to stay in the processor's caches from round to round.
    private static let largestChunk = 2048
    /// Largest number of blocks made aside at a time.
    private static let largestAside = 8

    init(layout: NormalLayout, truncated: TruncatedNormal, seed: UInt32, start: UInt64, _ generators: Generators) {
        self.layout = layout
        rejection = BlockRejection(layout.format, low: truncated.lower, high: truncated.upper)
        rounds = [
            NormalElements(
                layout: layout,
                mean: truncated.mean,
                std: truncated.std,
                seed: seed,
                start: start,
                generators
            )
        ]
    }

    /// Blocks that are not made in the destination: a few blocks of which one is read in part, or blocks that a call
    /// has not finished.
    private var aside = Chunk(blocks: 0, firstElement: 0, word: 0)
    private var asideBytes: [UInt8] = []

    private struct Chunk {
        let blocks: Int
        let firstElement: Int
        let word: UInt64
        /// Number of rounds that have been drawn.
        var rounds = 0
        /// A bit for each element that has not been accepted, a mask for each block.
        var pending: [UInt16]
        /// From the first to the last block with a pending element.
        var left = 0..<0

        init(blocks: Int, firstElement: Int, word: UInt64) {
            self.blocks = blocks
            self.firstElement = firstElement
            self.word = word
            pending = [UInt16](repeating: 0, count: blocks)
        }

        var isMade: Bool { rounds > 0 && left.isEmpty }
        var elements: Range<Int> { firstElement..<firstElement + blocks * NormalLayout.blockSize }
    }

    mutating func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let itemSize = layout.format.itemSize
        let blockBytes = NormalLayout.blockSize * itemSize
        let first = layout.block(of: range.lowerBound)
        let runEnd = min(range.upperBound, layout.endOfRun(from: range.lowerBound))
        var work = 0
        // The tail's block overlaps the block before it, so that an element alone does not tell the two apart.
        if !aside.elements.contains(range.lowerBound) || isTail(aside.firstElement) != isTail(first.firstElement) {
            let size = NormalLayout.blockSize
            let needed = isTail(first.firstElement) ? 1 : (runEnd - first.firstElement + size - 1) / size
            let whole = range.lowerBound == first.firstElement ? (runEnd - range.lowerBound) / size : 0
            let inPlace = whole == needed || whole > RejectionMaker.largestAside
            var chunk = Chunk(
                blocks: inPlace
                    ? min(whole, RejectionMaker.largestChunk) : min(needed, RejectionMaker.largestAside),
                firstElement: first.firstElement,
                word: first.word
            )
            if inPlace {
                var bytes = destination._mutatingExtracting(0..<chunk.blocks * blockBytes)
                work += draw(&chunk, into: &bytes, spent: work)
                if chunk.isMade { return (chunk.elements.count, work) }
                asideBytes = [UInt8](repeating: 0, count: bytes.byteCount)
                var storage = asideBytes.mutableSpan
                var copy = storage.mutableBytes
                copy.copy(bytes.bytes)
            } else {
                asideBytes = [UInt8](repeating: 0, count: chunk.blocks * blockBytes)
            }
            aside = chunk
        }
        if !aside.isMade {
            // `draw` mutates self, so no span of self's bytes may be open.
            var (chunk, bytes) = (aside, [UInt8]())
            swap(&bytes, &asideBytes)
            var storage = bytes.mutableSpan
            var span = storage.mutableBytes
            work += draw(&chunk, into: &span, spent: work)
            swap(&bytes, &asideBytes)
            aside = chunk
        }
        guard aside.isMade else { return (0, work) }
        let end = min(runEnd, aside.elements.upperBound)
        let from = (range.lowerBound - aside.firstElement) * itemSize
        destination.copy(asideBytes.span.bytes.extracting(from..<from + (end - range.lowerBound) * itemSize))
        // Copying counts as work, too.
        return (end - range.lowerBound, work + (end - range.lowerBound) / 4 + 1)
    }

    private func isTail(_ firstElement: Int) -> Bool {
        firstElement == layout.tailStart
    }

    /// Draws rounds until all elements are accepted, or until the call has spent its work.
    ///
    /// - Returns: The work that this took, in generator words.
    private mutating func draw(_ chunk: inout Chunk, into values: inout MutableRawSpan, spent: Int) -> Int {
        var work = 0
        if chunk.rounds == 0 {
            work += normals(of: 0).makeBlocks(chunk.blocks, at: chunk.word, into: &values)
            chunk.left = rejection.findOutside(values.bytes, masks: &chunk.pending)
            // Elements that the tail's block overwrites take part in no round.
            let hidden = isTail(chunk.firstElement) ? 0 : max(0, chunk.elements.upperBound - layout.tailStart)
            let last = chunk.blocks - 1
            chunk.pending[last] &= 0xffff >> UInt16(hidden)
            if chunk.pending[last] == 0 { chunk.left = chunk.left.clamped(to: 0..<last) }
            chunk.rounds = 1
        }
        while !chunk.left.isEmpty, spent + work < TensorSource.workPerRead {
            let drawn = normals(of: chunk.rounds)
                .redraw(chunk.left, at: chunk.word, of: &values, pending: &chunk.pending, rejection)
            chunk.left = drawn.left
            chunk.rounds += 1
            work += drawn.work
        }
        if chunk.isMade { roundsNeeded = max(roundsNeeded, chunk.rounds - 1) }
        return work
    }

    /// The normals of a round.
    private mutating func normals(of round: Int) -> NormalElements {
        while rounds.count <= round { rounds.append(NormalElements(after: rounds[rounds.count - 1])) }
        return rounds[round]
    }
}

/// `trunc_normal_` by uniform proposals: each round is two further `uniform_` of the whole tensor in the same stream,
/// one for the proposals and one to accept or reject them.
final class ProposalElements: ElementSource, RoundCounting {
    private let format: FloatFormat
    private let density: LogDensity
    private let lower: Double
    private let upper: Double
    private let wordsPerDraw: UInt64
    private let seed: UInt32
    private let start: UInt64
    private let generators: Generators
    private var rounds: [(proposals: UniformElements, deciders: UniformElements)] = []
    private(set) var roundsNeeded = 0

    init(
        count: Int,
        format: FloatFormat,
        truncated: TruncatedNormal,
        logPeak: Double,
        seed: UInt32,
        start: UInt64,
        _ generators: Generators
    ) {
        self.format = format
        self.generators = generators
        density = LogDensity(mean: truncated.mean, std: truncated.std, logPeak: logPeak, format: format)
        lower = truncated.lower
        upper = truncated.upper
        wordsPerDraw = UInt64(count) * format.wordsPerElement
        self.seed = seed
        self.start = start
    }

    /// The work of deciding about one proposal, in generator words: its two or four words are drawn alone, and two
    /// logarithms are computed.
    static let workPerProposal = 256

    /// Largest number of elements made at a time: enough to use a block of generator state, few enough to keep a read
    /// short.
    private static let largestStep = 64
    /// Number of elements made at a time; small at first, because each round's generator has yet to seek its position.
    private var step = 1
    /// The elements made last, or being made.
    private var made = Proposals(0..<0)

    private struct Proposals {
        let elements: Range<Int>
        /// The latest proposal for each of the elements.
        var bits: [UInt64]
        /// The elements without an accepted proposal. Of these, `next` have had their turn in the current round; the
        /// first `kept` entries go on to the next round.
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
                    UniformElements(format: format, from: lower, to: upper, seed: seed, start: first, generators),
                    UniformElements(
                        format: format,
                        from: 0,
                        to: 1,
                        seed: seed,
                        start: first &+ wordsPerDraw,
                        generators
                    )
                )
            )
        }
        return rounds[round]
    }

    private func bits(of element: Int, from draw: UniformElements, work: inout Int) -> UInt64 {
        // On the stack, for each proposal needs two. Zeros follow an element of fewer than 8 bytes.
        var bytes = InlineArray<8, UInt8>(repeating: 0)
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        work += draw.fill(element..<element + 1, into: &span).work
        return bytes.indices.reversed().reduce(0) { $0 << 8 | UInt64(bytes[$1]) }
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
