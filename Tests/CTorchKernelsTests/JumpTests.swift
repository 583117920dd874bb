import CTorchKernels
import Testing

@Suite struct JumpTests {
    @Test("Skipping words is drawing and dropping them", arguments: Variant.all)
    func skippingIsDrawingWithoutLooking(variant: Variant) {
        for before in [0, 1, 300, 623, 624] as [UInt64] {
            for distance in [0, 1, 2, 323, 324, 325, 623, 624, 625, 1247, 1248, 1249, 5000] as [UInt64] {
                var reference = Reference(seed: 8)
                for _ in 0..<before + distance { _ = reference.word() }
                let next = Call.words.expected(&reference, count: 700)
                let stream = Stream(seed: 8)
                variant.kernels.skip(stream.pointer, before)
                variant.kernels.skip(stream.pointer, distance)
                let same = Call.words.run(variant, stream.pointer, count: 700) == next
                #expect(same, "\(before) + \(distance) words")
            }
        }
    }

    @Test("A jump equals skipping around every block boundary", arguments: Variant.all)
    func jumpingIsSkippingAroundEveryBlockBoundary(variant: Variant) {
        let boundaries = optimised ? Array(0...70) : [0, 1, 2, 3, 31, 32, 33]
        for used in [0, 1, 396, 397, 623, 624] as [UInt64] {
            let start = Stream(seed: 5)
            variant.kernels.skip(start.pointer, used)
            for boundary in boundaries {
                for distance in max(boundary * 624, 2) - 2...boundary * 624 + 2 {
                    expectJumpIsSkip(variant, start, UInt64(distance))
                }
            }
        }
    }

    @Test("A jump equals skipping at random distances", arguments: Variant.all)
    func jumpingIsSkippingAtRandomDistances(variant: Variant) {
        var random = SplitMix(state: 1)
        let start = Stream(seed: 6)
        for _ in 0..<(optimised ? 300 : 3) {
            expectJumpIsSkip(variant, start, .random(in: 0..<1 << (optimised ? 24 : 16), using: &random))
            variant.kernels.skip(start.pointer, .random(in: 0..<2000, using: &random))
        }
    }

    @Test(
        "A jump equals skipping billions of words",
        .enabled(if: optimised, "billions of words need an optimised build"),
        arguments: Variant.all
    )
    func jumpingIsSkippingOverBillions(variant: Variant) {
        expectJumpIsSkip(variant, Stream(seed: 7), 1 << 33 + 987_654_321)
    }

    /// Two jumps reach a position by other powers and other block boundaries than one jump does.
    @Test("Two jumps equal one jump by their sum", arguments: Variant.all)
    func jumpsAdd(variant: Variant) {
        var random = SplitMix(state: 2)
        for bits in stride(from: 16, through: 62, by: optimised ? 2 : 15) {
            let a = UInt64.random(in: 0..<1 << bits, using: &random)
            let b = UInt64.random(in: 0..<1 << bits, using: &random)
            let apart = Stream(seed: 9)
            variant.kernels.jump(apart.pointer, a)
            let together = Stream(copying: apart)
            variant.kernels.jump(apart.pointer, b)
            variant.kernels.jump(apart.pointer, 12_345)
            variant.kernels.jump(together.pointer, b + 12_345)
            #expect(apart.stands(where: together))
            let atOnce = Stream(seed: 9)
            variant.kernels.jump(atOnce.pointer, a + b + 12_345)
            #expect(apart.stands(where: atOnce))
        }
    }

    @Test("All variants jump to the same state")
    func variantsLandInTheSamePlace() {
        for distance in [1 << 23, 1 << 40, 1 << 62, 1 << 63, .max] as [UInt64] {
            let places = Variant.all.map { variant in
                let stream = Stream(seed: 10)
                variant.kernels.skip(stream.pointer, 17)
                ctk_jump(variant.table, stream.pointer, distance)
                return stream
            }
            #expect(places.allSatisfy { $0.stands(where: places[0]) })
        }
    }

    @Test(
        "Skipping and the jump that the library chooses give the same state",
        arguments: Variant.all,
        [0, 1, (1 << 22) - 1, 1 << 22, (1 << 22) + 1] as [UInt64]
    )
    func theChoiceOfWayMakesNoDifference(variant: Variant, distance: UInt64) {
        let chosen = Stream(seed: 11)
        let skipped = Stream(copying: chosen)
        ctk_jump(variant.table, chosen.pointer, distance)
        variant.kernels.skip(skipped.pointer, distance)
        #expect(chosen.stands(where: skipped))
    }

    private func expectJumpIsSkip(
        _ variant: Variant,
        _ start: Stream,
        _ distance: UInt64,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let jumped = Stream(copying: start)
        let skipped = Stream(copying: start)
        variant.kernels.jump(jumped.pointer, distance)
        variant.kernels.skip(skipped.pointer, distance)
        #expect(jumped.stands(where: skipped), "\(distance) words", sourceLocation: sourceLocation)
    }
}
