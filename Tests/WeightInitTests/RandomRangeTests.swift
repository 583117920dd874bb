import ByteText
import ByteSource
import ByteText
import Testing
import TorchRandom
import WeightInit

@Suite("Random ranges of tensors of up to 2^40 bytes")
struct RandomRangeTests {
    private static let methods: [(name: Text, arguments: [Text: ParameterValue])] = [
        ("uniform", ["a": .number(-0.3), "b": .number(0.7)]), ("normal", ["mean": .number(0.1), "std": .number(2)]),
        ("trunc_normal", [:]), ("trunc_normal", ["a": .number(1), "b": .number(3)]), ("xavier_uniform", [:]),
        ("kaiming_normal", ["mode": .text("fan_out")]), ("constant", ["value": .number(0.3)]), ("eye", [:]),
        ("dirac", [:]),
        ("sparse", ["sparsity": .number(0.3)]), ("orthogonal", [:]),
    ]

    /// The largest number of elements of tensors that are compared as a whole.
    private static let feasible = 1 << 17

    @Test("A random range equals sequential generation or two jumps", arguments: 0..<64)
    func triple(_ number: Int) throws {
        var generator = SplitMix(state: UInt64(number) &* 0x1234_5678_9abc_def1 &+ 5)
        let method = Self.methods[number % Self.methods.count]
        let isWhole = ["sparse", "orthogonal"].contains(method.name)
        let dtypes = DType.requestable.filter { method.name != "orthogonal" || $0.itemSize > 2 }
        let dtype = try #require(dtypes.randomElement(using: &generator))
        // Tensors without a reference by position are small, and so is every second tensor of the other methods.
        let isSmall = isWhole || method.arguments["b"] == .number(3) || number / Self.methods.count % 2 == 1
        let largest = 40 - dtype.itemSize.trailingZeroBitCount
        let bits = isSmall ? Int.random(in: 4...16, using: &generator) : Int.random(in: 20...largest, using: &generator)
        var dimensions = [
            1 << (bits / 2) + Int.random(in: -1...1, using: &generator),
            1 << (bits - bits / 2) - Int.random(in: 0...2, using: &generator),
        ]
        if method.name == "dirac" { dimensions[1] = max(1, dimensions[1] / 3) }
        let shape = try Shape(method.name == "dirac" ? dimensions + [3] : dimensions)
        let request = TensorRequest(
            method: method.name,
            shape: shape,
            dtype: dtype,
            arguments: Arguments(method.arguments)
        )
        let seed = UInt32.random(in: 0 ... .max, using: &generator)
        let plan = try Plan(request, seed: Seed(UInt64(seed)))
        let prepared = try plan.prepared()

        // A random place, the front, or the end, at which the last block is drawn separately.
        let count = min(plan.byteCount, Int.random(in: 1...2000, using: &generator))
        let last = plan.byteCount - count
        let start =
            [Int.random(in: 0...last, using: &generator), Int.random(in: 0...last, using: &generator), 0, last]
            .randomElement(using: &generator) ?? 0
        let range = read(prepared.makeSource(), at: start, count: count)
        if shape.elementCount <= Self.feasible {
            #expect(range == Array(readAll(prepared.makeSource())[start..<start + count]), "\(request) from \(start)")
        } else {
            let reference = Reference(plan, request, seed: seed, jump: generator.next())
            let itemSize = dtype.itemSize
            let elements = start / itemSize...(start + count - 1) / itemSize
            let bytes = elements.flatMap { element -> [UInt8] in
                let bits = reference.bits(of: element)
                return (0..<itemSize).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
            }
            let from = start - elements.lowerBound * itemSize
            #expect(range == Array(bytes[from..<from + count]), "\(request) from \(start)")
        }
    }
}

/// A reference that makes one element at a time with scalar arithmetic, from words that two jumps lead to.
private final class Reference {
    let shape: [Int]
    let count: Int
    let method: Text
    let mean: Double
    let std: Double
    let bound: Double
    let arguments: Arguments
    let format: FloatFormat
    let seed: UInt32
    let jump: UInt64
    private var current: WordStream?
    private var block: (word: UInt64, values: [Double])?

    init(_ plan: Plan, _ request: TensorRequest, seed: UInt32, jump: UInt64) {
        let tensor = plan.tensors[0]
        let resolution = plan.draw(of: tensor)?.resolution
        shape = tensor.shape.dimensions
        count = tensor.shape.elementCount
        method = request.method?.name ?? ""
        mean = resolution?.mean ?? 0
        std = resolution?.std ?? 0
        bound = resolution?.bound ?? 0
        arguments = request.arguments
        format = FloatFormat(rawValue: request.dtype.rawValue) ?? .float32
        self.seed = seed
        self.jump = jump
    }

    private func stream(at word: UInt64) -> WordStream {
        if let current, current.position == word { return current }
        let stream = WordStream(seed: seed)
        current = stream
        stream.seek(to: word == 0 ? 0 : jump % word)
        stream.seek(to: word)
        return stream
    }

    func bits(of element: Int) -> UInt64 {
        switch method {
        case "uniform": uniform(element, -0.3, 0.7)
        case "xavier_uniform": uniform(element, -bound, bound)
        case "normal", "kaiming_normal": format.bits(normal(element, round: 0))
        case "trunc_normal": truncated(element)
        case "eye": element / shape[1] == element % shape[1] ? format.bits(1) : 0
        case "dirac": isDirac(element) ? format.bits(1) : 0
        default: format.bits(0.3)
        }
    }

    private func isDirac(_ element: Int) -> Bool {
        let (channel, tap) = (element / shape[2], element % shape[2])
        return tap == shape[2] / 2 && channel / shape[1] == channel % shape[1]
    }

    private func uniform(_ element: Int, _ from: Double, _ to: Double) -> UInt64 {
        let stream = stream(at: UInt64(element) * format.wordsPerElement)
        return format == .float64
            ? ScalarTransforms.uniform(stream.u53(), from: from, to: to)
            : ScalarTransforms.uniform(
                Float(stream.next() & 0xff_ffff) * 0x1p-24,
                from: Float(from),
                to: Float(to),
                format: format
            )
    }

    /// A normal before it is rounded to the format.
    private func normal(_ element: Int, round: Int) -> Double {
        let isHalf = format.itemSize == 2
        let whole = count / 16 * 16
        // Number of words before the separately drawn last block, and of all words.
        let before = UInt64(isHalf ? whole : count) * format.wordsPerElement
        let words = count % 16 == 0 ? before : before + 16 * format.wordsPerElement
        let isTail = count % 16 != 0 && element >= count - 16
        let first = isTail ? count - 16 : element / 16 * 16
        let word = UInt64(round) * words + (isTail ? before : UInt64(first) * format.wordsPerElement)
        if block?.word != word { block = (word, values(of: word)) }
        return block?.values[element - first] ?? 0
    }

    private func values(of word: UInt64) -> [Double] {
        let stream = stream(at: word)
        if format == .float64 {
            var block = (0..<16).map { _ in stream.u53() }
            ScalarTransforms.normalBlock(&block, mean: mean, std: std)
            return block
        }
        var block = (0..<16).map { _ in Float(stream.next() & 0xff_ffff) * 0x1p-24 }
        ScalarTransforms.normalBlock(&block, mean: Float(mean), std: Float(std))
        return block.map(Double.init)
    }

    private func truncated(_ element: Int) -> UInt64 {
        for round in 0... {
            let value = format.rounded(normal(element, round: round))
            if value >= -2, value <= 2 { return format.bits(value) }
        }
        return 0
    }
}
