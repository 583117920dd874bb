import ByteText
import Foundation
import TensorFormats
import Testing
import TorchRandom
import WeightInit

struct TensorSummaryTests {
    struct Vector: Decodable {
        var dtype: String
        var count: Int
        var spread: UInt64
        var divisor: Double
        var centre: Double
        var mean: Double
        var std: Double
        var min: Double
        var max: Double
        var zeros: Int
        var sha256: String
        var edges: [Double]
        var counts: [Int]
    }

    private func bytes(_ values: [Double], _ dtype: DType) -> [UInt8] {
        dtype.bytes(
            ofBits: values.map { value in
                dtype.floatFormat.map { $0.bits(value) } ?? UInt64(bitPattern: Int64(value))
            }
        )
    }

    private func summary(
        _ values: [Double],
        _ dtype: DType = .float64,
        range: ClosedRange<Double>? = nil
    ) throws -> TensorSummary {
        let source = StubSource(bytes(values, dtype), readSizes: [1000, 7, 65536])
        return try #require(
            try TensorSummary.compute(source, shape: Shape([values.count]), dtype: dtype, range: range)
        )
    }

    @Test("Summaries have NumPy's numbers to the bit")
    func numbersAreNumPyToTheBit() throws {
        for vector in try vectors("summaries", as: [Vector].self) {
            let dtype = try #require(DType(rawValue: vector.dtype))
            let values = (0..<vector.count).map { index in
                let hashed = (UInt64(index / 2) * 2_654_435_761 % (1 << 32)) >> 16
                let distance = Double(hashed % vector.spread) / vector.divisor
                return index.isMultiple(of: 2) ? vector.centre + distance : vector.centre - distance
            }
            let summary = try summary(values, dtype)
            #expect(summary.mean == vector.mean)
            #expect(summary.std == vector.std)
            #expect(summary.min == vector.min)
            #expect(summary.max == vector.max)
            #expect(summary.zeroCount == vector.zeros)
            #expect(summary.nonFiniteCount == 0)
            #expect(summary.sha256.map { String(format: "%02x", $0) }.joined() == vector.sha256)
            #expect(summary.histogram?.edges == vector.edges)
            #expect(summary.histogram?.counts == vector.counts)
        }
    }

    @Test("A summary does not depend on the source's reads")
    func aSummaryDoesNotDependOn() throws {
        var generator = SystemRandomNumberGenerator()
        let values = (0..<50_000).map { _ in Double.random(in: -1...1, using: &generator) }
        let whole = StubSource(bytes(values, .float32))
        let shape = try Shape([50_000])
        let atOnce = TensorSummary.compute(whole, shape: shape, dtype: .float32)
        #expect(try summary(values, .float32) == atOnce)
    }

    @Test("Non-finite numbers are counted and left out")
    func nonFiniteNumbersAreCountedAnd() throws {
        let summary = try summary([.nan, 1, .infinity, 3, -.infinity, 0, -0.0])
        #expect(summary.nonFiniteCount == 3)
        #expect(summary.zeroCount == 2)
        #expect(summary.mean == 1)
        #expect(summary.std == 2.0.squareRoot())
        #expect(summary.min == 0 && summary.max == 3)
        #expect(summary.histogram?.counts.reduce(0, +) == 4)
    }

    @Test("Without finite numbers a summary has no moments")
    func withoutFiniteNumbersASummaryHas() throws {
        for values in [[], [Double.nan, .infinity]] {
            let summary = try summary(values)
            #expect(summary.mean == nil && summary.std == nil && summary.min == nil && summary.max == nil)
            #expect(summary.histogram == nil)
            #expect(summary.nonFiniteCount == values.count)
        }
        #expect(try summary([2]).std == nil)
        #expect(try summary([2]).mean == 2)
    }

    @Test("The range of equal numbers is widened by a half on both sides")
    func oneNumberManyTimesIsOne() throws {
        let summary = try summary(Array(repeating: 0.1, count: 1000))
        #expect(summary.std == 0)
        #expect(summary.histogram?.edges.first == -0.4 && summary.histogram?.edges.last == 0.6)
        #expect(summary.histogram?.counts[16] == 1000)
    }

    @Test("With a given range, other numbers count as below or above, and the source is read once")
    func aRangeThatIsGivenLeaves() throws {
        let values = [-2, -1, -0.999, 0, 0.5, 1, 1.001, .infinity]
        let summary = try summary(values, range: -1...1)
        let histogram = try #require(summary.histogram)
        #expect(histogram.below == 1 && histogram.above == 1)
        #expect(histogram.counts.reduce(0, +) == 5)
        #expect(histogram.counts[0] == 2 && histogram.counts[16] == 1 && histogram.counts[31] == 1)
        let source = StubSource(bytes(values, .float64))
        _ = try TensorSummary.compute(source, shape: Shape([8]), dtype: .float64, range: -1...1)
        #expect(source.readCount == 1)
    }

    @Test(
        "Every finite number of any magnitude has a bin",
        arguments: [
            [Double.greatestFiniteMagnitude, -Double.greatestFiniteMagnitude, 0, 1],
            [Double.leastNonzeroMagnitude, 0, 3 * Double.leastNonzeroMagnitude], [1.0, 1.0000000000000002],
            [1e308, 1e308],
            [-0.0, 0.0],
        ]
    )
    func everyFiniteNumberFindsABin(values: [Double]) throws {
        let histogram = try #require(try summary(values).histogram)
        #expect(histogram.counts.reduce(0, +) == values.count)
        #expect(histogram.edges.count == 33)
        #expect(histogram.edges.allSatisfy { $0.isFinite })
    }

    @Test("Cancelling ends a summary")
    func cancellingEndsASummary() throws {
        let source = ZeroSource(byteCount: 1 << 40)
        var asked = 0
        let summary = try TensorSummary.compute(source, shape: Shape([1 << 38]), dtype: .float32) {
            asked += 1
            return asked > 3
        }
        #expect(summary == nil)
        #expect(source.highestRead < 1 << 20)
    }

    @Test("The members of a summary can be written between other members")
    func theMembersOfASummaryCan() throws {
        var writer = JSONWriter()
        let summary = try summary([1, 2, .nan], .float32)
        writer.object { writer in
            writer.member("name", "w")
            summary.writeMembers(to: &writer)
            writer.member("theory", 1)
        }
        let parsed = try JSONSerialization.jsonObject(with: Data(writer.bytes)) as? [String: Any]
        let object = try #require(parsed)
        #expect(
            object.keys.sorted() == [
                "dtype", "elements", "histogram", "max", "mean", "min", "name", "nonfinite", "sha256", "shape", "std",
                "theory", "zeros",
            ]
        )
        #expect(object["elements"] as? Int == 3)
        #expect(object["mean"] as? Double == 1.5)
        #expect((object["sha256"] as? String)?.count == 64)
        let histogram = try #require(object["histogram"] as? [String: Any])
        #expect((histogram["counts"] as? [Int])?.count == 32)
        #expect((histogram["edges"] as? [Double])?.count == 33)
    }
}
