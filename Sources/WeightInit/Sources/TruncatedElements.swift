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
    private static let chunk = 256
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
            count: RejectionMaker.chunk * NormalLayout.blockSize * layout.format.itemSize / 8
        )
        redrawn = values
    }

    mutating func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let size = NormalLayout.blockSize
        let itemSize = layout.format.itemSize
        let first = layout.block(of: range.lowerBound)
        let runEnd = min(range.upperBound, layout.endOfRun(from: range.lowerBound))
        let isTail = first.firstElement == layout.tailStart
        let blocks =
            isTail ? 1 : min((runEnd - first.firstElement + size - 1) / size, RejectionMaker.chunk)
        // What the tail block overlaps is not looked at: it takes part in no round.
        let hidden = isTail ? 0 : max(0, first.firstElement + blocks * size - layout.tailStart)
        let work = make(blocks, at: first.word, hidden: hidden)
        let end = min(runEnd, first.firstElement + blocks * size)
        let from = (range.lowerBound - first.firstElement) * itemSize
        destination.copy(values.span.bytes.extracting(from..<from + (end - range.lowerBound) * itemSize))
        return (end - range.lowerBound, work)
    }

    /// Makes whole blocks in `values`, redrawing what is outside.
    ///
    /// - Parameter hidden: How many elements of the last block are not the tensor's.
    /// - Returns: The work that this took, in generator words.
    private mutating func make(_ blocks: Int, at word: UInt64, hidden: Int) -> Int {
        let blockBytes = NormalLayout.blockSize * layout.format.itemSize
        let wordsPerBlock = UInt64(NormalLayout.blockSize) * layout.format.wordsPerElement
        let used = 0..<blocks * blockBytes
        let first = normals(of: 0)
        var work = values.draw(first, blocks, at: word, to: used)
        var pending = [UInt16](repeating: 0, count: blocks)
        var outside = pending
        rejection.findOutside(values.span.bytes.extracting(used), masks: &pending)
        pending[blocks - 1] &= 0xffff >> UInt16(hidden)
        var left = pending.count { $0 != 0 }
        var round = 0
        while left > 0 {
            round += 1
            let waiting = (0..<blocks).filter { pending[$0] != 0 }
            // Where many wait, making them all at once costs less than moving from one to the next.
            let runs = left * 4 > blocks ? [0..<blocks] : waiting.map { $0..<$0 + 1 }
            let normals = normals(of: round)
            for run in runs {
                let bytes = run.lowerBound * blockBytes..<run.upperBound * blockBytes
                let runWord = word + UInt64(run.lowerBound) * wordsPerBlock
                work += redrawn.draw(normals, run.count, at: runWord, to: bytes)
                rejection.findOutside(redrawn.span.bytes.extracting(bytes), masks: &outside, from: run.lowerBound)
            }
            let (rejection, redrawn) = (rejection, redrawn)
            var storage = values.mutableSpan
            var bytes = storage.mutableBytes
            left = rejection.merge(redrawn.span.bytes, into: &bytes, pending: &pending, outside: outside)
        }
        roundsNeeded = max(roundsNeeded, round)
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

    /// Elements made at a time: enough to use a block of generator state, few enough to keep a read short.
    private static let largestStep = 64
    /// Fewer at first, while the cursors of the rounds have yet to be moved there.
    private var step = 1

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let chunk = range.prefix(step)
        step = min(2 * step, ProposalElements.largestStep)
        let itemSize = format.itemSize
        var pending = Array(chunk)
        var work = 0
        var round = 0
        while !pending.isEmpty {
            let draws = draws(of: round)
            pending = pending.filter { element in
                let proposal = bits(of: element, from: draws.proposals, work: &work)
                let decider = format.value(bits: bits(of: element, from: draws.deciders, work: &work))
                destination.store(proposal, byteCount: itemSize, at: (element - range.lowerBound) * itemSize)
                return density.logarithm(decider) > density(format.value(bits: proposal))
            }
            if !pending.isEmpty { round += 1 }
        }
        roundsNeeded = max(roundsNeeded, round)
        return (chunk.count, work)
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
