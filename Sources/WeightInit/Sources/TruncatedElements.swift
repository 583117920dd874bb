internal import TorchRandom

/// What a truncated normal needs of its source besides elements.
protocol RoundCounting: AnyObject {
    /// The rounds of redrawing that ended with every element accepted, after all elements have been made once.
    var roundsNeeded: Int { get }
}

/// `trunc_normal_` by redrawing normals: each round is a further `normal_` of the whole tensor in the same stream, of
/// which only the blocks that hold rejected elements are made.
final class RejectionElements: ElementSource, RoundCounting {
    private let layout: NormalLayout
    private let truncated: TruncatedNormal
    private let low: Double
    private let high: Double
    private let seed: UInt32
    private let start: UInt64
    private var rounds: [NormalElements] = []
    private(set) var roundsNeeded = 0

    init(layout: NormalLayout, truncated: TruncatedNormal, seed: UInt32, start: UInt64) {
        self.layout = layout
        self.truncated = truncated
        low = layout.format.rounded(truncated.lower)
        high = layout.format.rounded(truncated.upper)
        self.seed = seed
        self.start = start
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let size = NormalLayout.blockSize
        let itemSize = layout.format.itemSize
        let block = layout.block(of: range.lowerBound)
        var bytes = [UInt8](repeating: 0, count: size * itemSize)
        var work = makeBlock(at: block.word, round: 0, into: &bytes)
        var rejected = (0..<size).filter { isRejected(bytes, $0) }
        var round = 0
        while !rejected.isEmpty {
            round += 1
            var redrawn = [UInt8](repeating: 0, count: size * itemSize)
            work += makeBlock(at: block.word, round: round, into: &redrawn)
            rejected = rejected.filter { index in
                bytes.replaceSubrange(
                    index * itemSize..<(index + 1) * itemSize,
                    with: redrawn[index * itemSize..<(index + 1) * itemSize]
                )
                return isRejected(redrawn, index)
            }
        }
        roundsNeeded = max(roundsNeeded, round)
        let end = min(range.upperBound, layout.endOfRun(from: range.lowerBound), block.firstElement + size)
        let skipped = (range.lowerBound - block.firstElement) * itemSize
        for index in 0..<(end - range.lowerBound) * itemSize {
            destination.storeBytes(of: bytes[skipped + index], toByteOffset: index, as: UInt8.self)
        }
        return (end - range.lowerBound, work)
    }

    private func makeBlock(at word: UInt64, round: Int, into bytes: inout [UInt8]) -> Int {
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
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        rounds[round].makeBlocks(1, at: word, into: &span)
        return NormalLayout.blockSize * Int(layout.format.wordsPerElement)
    }

    /// NaN is never rejected.
    private func isRejected(_ bytes: [UInt8], _ index: Int) -> Bool {
        let value = layout.format.value(in: bytes, at: index)
        return value < low || value > high
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
    private static let step = 64

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let chunk = range.prefix(ProposalElements.step)
        let itemSize = format.itemSize
        var pending = Array(chunk)
        var work = 0
        var round = 0
        while !pending.isEmpty {
            let draws = draws(of: round)
            pending = pending.filter { element in
                let proposal = bits(of: element, from: draws.proposals)
                let decider = format.value(bits: bits(of: element, from: draws.deciders))
                destination.store(proposal, byteCount: itemSize, at: (element - range.lowerBound) * itemSize)
                return density.logarithm(decider) > density(format.value(bits: proposal))
            }
            work += 2 * chunk.count * Int(format.wordsPerElement)
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

    private func bits(of element: Int, from draw: UniformElements) -> UInt64 {
        var bytes = [UInt8](repeating: 0, count: format.itemSize)
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        _ = draw.fill(element..<element + 1, into: &span)
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
