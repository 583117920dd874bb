import ByteText
import ByteSource
import Testing
import TorchRandom

@testable import WeightInit

/// A source that adds up the work that its elements report.
private final class Meter: ElementSource {
    private let elements: any ElementSource
    private(set) var work = 0

    init(_ elements: any ElementSource) {
        self.elements = elements
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let filled = elements.fill(range, into: &destination)
        work += filled.work
        return filled
    }
}

@Suite("An element over a call's budget takes several calls")
struct WorkBudgetTests {
    /// Number of elements, so large that rounds of redrawing lie too far apart to skip word by word.
    private static let count = 1 << 30

    private static func truncated(_ a: Double, _ b: Double, _ format: FloatFormat) throws -> TruncatedNormal {
        var limits = Limits()
        limits.maximumRounds = 1 << 20
        return try TruncatedNormal(
            mean: 0,
            std: 1,
            lower: a,
            upper: b,
            count: count,
            format: format,
            limits: limits
        )
    }

    /// Reads bytes and checks that every call stays within its budget.
    ///
    /// - Returns: The bytes, and the number of calls that gave none.
    private static func read(_ meter: Meter, _ source: TensorSource, at start: Int, count: Int) -> ([UInt8], Int) {
        var result: [UInt8] = []
        var empty = 0
        while result.count < count {
            var buffer = [UInt8](repeating: 0, count: count - result.count)
            var storage = buffer.mutableSpan
            var span = storage.mutableBytes
            let before = meter.work
            let written = source.read(at: start + result.count, into: &span)
            // A seek or two may be in progress when the budget is spent.
            #expect(meter.work - before < TensorSource.workPerRead + 1 << 22)
            result += buffer.prefix(written)
            if written == 0 { empty += 1 }
        }
        return (result, empty)
    }

    @Test(
        "Redrawing one truncated normal may take several calls",
        arguments: [FloatFormat.float32, .float64, .bfloat16]
    )
    func rejection(format: FloatFormat) throws {
        let truncated = try Self.truncated(-0.4, 0.4, format)
        #expect(truncated.path == .rejection)
        let layout = try #require(NormalLayout(count: Self.count, format: format))
        let itemSize = format.itemSize
        let meter = Meter(RejectionElements(layout: layout, truncated: truncated, seed: 5, start: 0, Generators()))
        let source = TensorSource(elementCount: Self.count, itemSize: itemSize, elements: meter)
        let first = 987_654_336
        let (bytes, empty) = Self.read(meter, source, at: first * itemSize, count: 64 * itemSize)
        #expect(empty > 0)

        // The first draw of each element that is within the bounds.
        var expected = [UInt64?](repeating: nil, count: 64)
        let stream = WordStream(seed: 5)
        var round: UInt64 = 0
        while expected.contains(nil) {
            stream.seek(to: round * layout.words + UInt64(first) * format.wordsPerElement)
            var drawn = [UInt8](repeating: 0, count: 64 * itemSize)
            var storage = drawn.mutableSpan
            var span = storage.mutableBytes
            stream.fillNormalBlocks(format, mean: 0, std: 1, blocks: 4, into: &span)
            for index in expected.indices where expected[index] == nil {
                let value = format.value(in: drawn, at: index)
                if value >= format.rounded(-0.4), value <= format.rounded(0.4) {
                    expected[index] = format.bits(in: drawn, at: index)
                }
            }
            round += 1
        }
        #expect((0..<64).map { format.bits(in: bytes, at: $0) } == expected)
    }

    @Test(
        "Proposals for one truncated normal may take several calls",
        arguments: [FloatFormat.float32, .float64, .float16]
    )
    func proposals(format: FloatFormat) throws {
        // About 2 in 100 proposals are accepted, so that an element takes about 50 rounds.
        let truncated = try Self.truncated(2, 60, format)
        guard case .proposal(let logPeak) = truncated.path else {
            Issue.record("not the path of proposals")
            return
        }
        let itemSize = format.itemSize
        let elements = ProposalElements(
            count: Self.count,
            format: format,
            truncated: truncated,
            logPeak: logPeak,
            seed: 5,
            start: 0,
            Generators()
        )
        let meter = Meter(elements)
        let source = TensorSource(elementCount: Self.count, itemSize: itemSize, elements: meter)
        let first = 987_654_321
        let (bytes, empty) = Self.read(meter, source, at: first * itemSize, count: 8 * itemSize)
        #expect(empty > 0)

        let density = LogDensity(mean: 0, std: 1, logPeak: logPeak, format: format)
        let stream = WordStream(seed: 5)
        let wordsPerDraw = UInt64(Self.count) * format.wordsPerElement
        func uniform(_ draw: UInt64, _ element: Int, from: Double, to: Double) -> UInt64 {
            stream.seek(to: draw * wordsPerDraw + UInt64(element) * format.wordsPerElement)
            var drawn = [UInt8](repeating: 0, count: itemSize)
            var storage = drawn.mutableSpan
            var span = storage.mutableBytes
            stream.fillUniform(format, from: from, to: to, elements: 1, into: &span)
            return format.bits(in: drawn, at: 0)
        }
        for index in 0..<8 {
            var round: UInt64 = 0
            var proposal: UInt64
            repeat {
                proposal = uniform(2 * round, first + index, from: 2, to: 60)
                let decider = format.value(bits: uniform(2 * round + 1, first + index, from: 0, to: 1))
                round += 1
                if density.logarithm(decider) <= density(format.value(bits: proposal)) { break }
            } while true
            #expect(format.bits(in: bytes, at: index) == proposal)
        }
    }

    @Test("A call makes only a few elements if each has many steps")
    func changes() throws {
        let erfinv = try #require(Step.Method.named("erfinv"))
        var request = ModelRequest(
            form: .tensors,
            entries: [
                ModelEntry(
                    name: "x",
                    content: .parameter(TensorRequest(method: "uniform", shape: try Shape([1 << 16])))
                )
            ]
        )
        request.steps = [Step](repeating: Step(.tensors(["x"], slice: nil), method: erfinv), count: 1024)
        let source = try Plan(request, seed: Seed(UInt64(3))).prepared().makeSource()
        var buffer = [UInt8](repeating: 0, count: source.byteCount)
        var storage = buffer.mutableSpan
        var span = storage.mutableBytes
        let count = source.read(at: 0, into: &span)
        #expect(count > 0 && count / 4 * 1024 * ElementChain.workOfInverseError <= TensorSource.workPerRead)
        #expect(throws: InitError.self) {
            var limits = Limits()
            limits.maximumOverlays = 16
            _ = try Plan(request, seed: Seed(UInt64(3)), limits: limits)
        }
    }

    @Test("One element of a block may take several calls")
    func column() throws {
        let request = TensorRequest(
            method: "trunc_normal",
            shape: try Shape([1 << 20, 1 << 20]),
            arguments: Arguments(["a": .number(2), "b": .number(60)]),
            slice: try Slice("5:7,1000000:1000001")
        )
        var limits = Limits()
        limits.maximumRounds = 1 << 14
        let source = try Plan(request, seed: Seed(UInt64(3)), limits: limits).prepared().makeSource()
        var calls = 0
        var position = 0
        var buffer = [UInt8](repeating: 0, count: 8)
        while position < 8 {
            var storage = buffer.mutableSpan
            var span = storage.mutableBytes
            var rest = span._mutatingExtracting(position...)
            position += source.read(at: position, into: &rest)
            calls += 1
        }
        #expect(calls > 4)
    }

    @Test(
        "A tensor continues with the generator of the tensor before it, and skips no word twice",
        arguments: ["normal", "uniform", "trunc_normal"]
    )
    func handedOn(_ method: Text) throws {
        let request = TensorRequest(method: InitMethod.named(method), shape: try Shape([640, 10]))
        let draw = try #require(try Plan(request, seed: Seed(UInt64(9))).draws.first)
        let far = StreamPosition(word: 1 << 30)
        let next = StreamPosition(word: 1 << 30 + 100_000)
        func work(at start: StreamPosition, _ generators: Generators) -> Int {
            var bytes = [UInt8](repeating: 0, count: 16 * 4)
            var storage = bytes.mutableSpan
            var span = storage.mutableBytes
            return draw.makeElements(at: start, nil, generators).fill(0..<16, into: &span).work
        }
        let generators = Generators()
        let first = work(at: far, generators)
        let second = work(at: next, generators)
        let alone = work(at: next, Generators())
        #expect(first >= 1 << 20 && alone >= 1 << 20)
        #expect(second < 100_000)
    }
}
