import Testing
import TorchRandom

@Suite("Numbers outside the bounds are found and redrawn")
struct BlockRejectionTests {
    /// Values on and beside every bound, zeros of both signs, infinities and NaN, many times.
    private static let values: [Double] = {
        let awkward = [
            -0.0, 0.0, 1, -1, 0.5, -0.5, .infinity, -.infinity, .nan, 65504, -65504, 0x1p-24, -0x1p-24, 3, 1.0009765625,
        ]
        return (0..<160).map { awkward[$0 * 7 % awkward.count] }
    }()

    @Test("Blocks with numbers outside the bounds are found", arguments: Kernels.all.map(\.name), FloatFormat.allCases)
    func outside(kernel: String, format: FloatFormat) throws {
        let kernels = try #require(Kernels.all.first { $0.name == kernel })
        for (low, high) in [(-0.5, 0.5), (0.0, 1.0), (-0.0, 0.0), (-1, -0.0), (-.infinity, 1), (0.5, .infinity)] {
            let rejection = BlockRejection(format, low: low, high: high, kernels: kernels)
            var storage = [UInt64](repeating: 0, count: Self.values.count)
            var elements = storage.mutableSpan
            var bytes = elements.mutableBytes
            for (index, value) in Self.values.enumerated() { bytes.store(format.bits(value), as: format, at: index) }
            var masks = [UInt16](repeating: 0xffff, count: 10)
            let range = rejection.findOutside(storage.span.bytes.extracting(0..<160 * format.itemSize), masks: &masks)
            #expect(range == (masks.firstIndex { $0 != 0 } ?? 0)..<(masks.lastIndex { $0 != 0 } ?? -1) + 1)
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

    @Test("The range found spans the first to the last block with numbers outside", arguments: 0...9)
    func theRangeFoundIsThatOf(blocks: Int) {
        let rejection = BlockRejection(.float32, low: -1, high: 1)
        for first in 0..<max(blocks, 1) {
            for last in first..<max(blocks, 1) {
                var storage = [Float](repeating: 0, count: blocks * 16)
                for block in [first, last] where block < blocks { storage[block * 16 + 15] = 2 }
                var masks = [UInt16](repeating: 0xffff, count: blocks)
                let range = rejection.findOutside(storage.span.bytes, masks: &masks)
                if blocks == 0 { #expect(range.isEmpty) } else { #expect(range == first..<last + 1) }
            }
        }
    }

    /// Tests no pending numbers up to all, one block up to many, several positions in the stream, and unaligned memory.
    @Test(
        "Redrawing blocks gives the same numbers as redrawing one at a time",
        arguments: Kernels.all.map(\.name),
        FloatFormat.allCases
    )
    func redraw(kernel: String, format: FloatFormat) throws {
        let kernels = try #require(Kernels.all.first { $0.name == kernel })
        let (mean, std, bound) = (0.25, 1.5, 1.0)
        let rejection = BlockRejection(format, low: -bound, high: bound, kernels: kernels)
        let chance = WordStream(seed: 1)
        for count in [1, 5, 78, 79, 157] {
            for share in [0, 1, 2, 16] as [UInt32] {
                for skipped in [0, 7] as [UInt64] {
                    let blocks = Int(chance.next()) % count..<count
                    let size = count * 16 * format.itemSize
                    var before = [UInt8](repeating: 0x5a, count: size + 1)
                    let (drawn, stream) = (WordStream(seed: 9, kernels: kernels), WordStream(seed: 9, kernels: kernels))
                    drawn.seek(to: skipped)
                    stream.seek(to: skipped)
                    var new = [UInt8](repeating: 0, count: size)
                    do {
                        var storage = new.mutableSpan
                        var bytes = storage.mutableBytes
                        var part = bytes._mutatingExtracting(blocks.lowerBound * 16 * format.itemSize..<size)
                        drawn.fillNormalBlocks(format, mean: mean, std: std, blocks: blocks.count, into: &part)
                    }
                    var pending = (0..<count).map { _ in
                        (0..<16).reduce(UInt16(0)) { mask, bit in mask | (chance.next() % 16 < share ? 1 << bit : 0) }
                    }
                    let masks = pending
                    var storage = before.mutableSpan
                    var all = storage.mutableBytes
                    var values = all._mutatingExtracting(1..<size + 1)
                    let left = stream.redrawNormalBlocks(
                        rejection,
                        mean: mean,
                        std: std,
                        blocks: blocks,
                        of: &values,
                        pending: &pending
                    )
                    #expect(stream.position == drawn.position)
                    #expect(stream.next() == drawn.next())
                    let after = Array(before.dropFirst())
                    var expected = masks
                    for element in 0..<count * 16 {
                        let bit = UInt16(1) << UInt16(element % 16)
                        let isRedrawn = blocks.contains(element / 16) && masks[element / 16] & bit != 0
                        let bytes = element * format.itemSize..<(element + 1) * format.itemSize
                        let old = [UInt8](repeating: 0x5a, count: format.itemSize)
                        try #require(Array(after[bytes]) == (isRedrawn ? Array(new[bytes]) : old), "\(element)")
                        let value = format.value(bits: new[bytes].reversed().reduce(0) { $0 << 8 | UInt64($1) })
                        if isRedrawn, value >= -bound, value <= bound { expected[element / 16] &= ~bit }
                    }
                    #expect(pending == expected)
                    let waiting = blocks.filter { expected[$0] != 0 }
                    #expect(waiting.isEmpty ? left.isEmpty : left == waiting[0]..<waiting[waiting.count - 1] + 1)
                }
            }
        }
    }
}
