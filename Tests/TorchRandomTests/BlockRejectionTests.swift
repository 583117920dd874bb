import Testing
import TorchRandom

@Suite("What is outside of bounds is found and replaced")
struct BlockRejectionTests {
    /// Values on and beside every bound, zeros of both signs, infinities and NaN, over and over.
    private static let values: [Double] = {
        let awkward = [
            -0.0, 0.0, 1, -1, 0.5, -0.5, .infinity, -.infinity, .nan, 65504, -65504, 0x1p-24, -0x1p-24, 3, 1.0009765625,
        ]
        return (0..<160).map { awkward[$0 * 7 % awkward.count] }
    }()

    @Test(arguments: Kernels.all.map(\.name), FloatFormat.allCases)
    func outside(kernel: String, format: FloatFormat) throws {
        let kernels = try #require(Kernels.all.first { $0.name == kernel })
        for (low, high) in [(-0.5, 0.5), (0.0, 1.0), (-0.0, 0.0), (-1, -0.0), (-.infinity, 1), (0.5, .infinity)] {
            let rejection = BlockRejection(format, low: low, high: high, kernels: kernels)
            var storage = [UInt64](repeating: 0, count: Self.values.count)
            var elements = storage.mutableSpan
            var bytes = elements.mutableBytes
            for (index, value) in Self.values.enumerated() { bytes.store(format.bits(value), as: format, at: index) }
            var masks = [UInt16](repeating: 0xffff, count: 10)
            rejection.findOutside(storage.span.bytes.extracting(0..<160 * format.itemSize), masks: &masks)
            for (index, value) in Self.values.enumerated() {
                let rounded = format.rounded(value)
                let isOutside = rounded < format.rounded(low) || rounded > format.rounded(high)
                #expect(
                    (masks[index / 16] >> UInt16(index % 16) & 1 == 1) == isOutside,
                    "\(value) in \(low)...\(high)"
                )
            }
        }
    }

    @Test(arguments: FloatFormat.allCases)
    func merge(format: FloatFormat) {
        let size = format.itemSize
        var values = [UInt64](repeating: 0, count: 8 * size)
        let redrawn = [UInt64](repeating: 0x0101_0101_0101_0101, count: 8 * size)
        var pending: [UInt16] = [0b1010, 0, 0x8000, 1]
        var storage = values.mutableSpan
        var bytes = storage.mutableBytes
        let rejection = BlockRejection(format, low: 0, high: 1)
        let left = rejection.merge(
            redrawn.span.bytes,
            into: &bytes,
            pending: &pending,
            outside: [0b0010, 0xffff, 0, 1]
        )
        #expect(left == 2)
        #expect(pending == [0b0010, 0, 0, 1])
        let all = values.withUnsafeBytes(Array.init)
        for element in 0..<64 {
            let isReplaced = [1, 3, 47, 48].contains(element)
            #expect(all[element * size..<(element + 1) * size].allSatisfy { $0 == (isReplaced ? 1 : 0) })
        }
    }
}
