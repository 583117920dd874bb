import CTorchKernels
import Testing

@Suite struct RandomCallTests {
    /// Makes several calls of random kind, size and parameters on one stream, from a random position, into memory that
    /// is aligned to the element only.
    @Test("Every variant equals the reference at random calls", arguments: 0..<10)
    func everyVariantDoesWhatTheReferenceDoes(part: Int) {
        var random = SplitMix(state: UInt64(part))
        for _ in 0..<(optimised ? 250 : 10) {
            let seed = UInt32.random(in: 0 ... .max, using: &random)
            var reference = Reference(seed: seed)
            let streams = Variant.all.map { _ in Stream(seed: seed) }
            for _ in 0..<4 {
                let call = Call.random(using: &random)
                let size = [1, 20, 700, 8000][Int.random(in: 0..<4, using: &random)]
                let count = Int.random(in: 0...size, using: &random) / call.granularity * call.granularity
                let offset = Int.random(in: 0..<32, using: &random)
                let expected = call.expected(&reference, count: count)
                for (variant, stream) in zip(Variant.all, streams) {
                    let same = call.run(variant, stream.pointer, count: count, offset: offset) == expected
                    #expect(same, "\(variant.testDescription), seed \(seed), \(call), \(count) elements")
                }
            }
            let next = Call.words.expected(&reference, count: 1)
            for (variant, stream) in zip(Variant.all, streams) {
                #expect(Call.words.run(variant, stream.pointer, count: 1) == next, "drew another number of words")
            }
        }
    }

    /// Large results bypass the caches if their memory is aligned.
    @Test(
        "Large uniforms and normals equal many small ones",
        .enabled(if: optimised, "32 MiB need an optimised build"),
        arguments: Variant.all,
        [0, 1]
    )
    func largeCallsAreManySmallOnes(variant: Variant, offset: Int) {
        isManySmallOnes(.uniform32(UniformRange(from: -1, to: 1)), variant, offset: offset, skipped: 0)
        for skipped in [0, 3] as [UInt64] {
            isManySmallOnes(.normal32(mean: 0.5, std: 2), variant, offset: offset, skipped: skipped)
        }
    }

    private func isManySmallOnes(_ call: Call, _ variant: Variant, offset: Int, skipped: UInt64) {
        let whole = Stream(seed: 4)
        variant.kernels.skip(whole.pointer, skipped)
        let parts = Stream(copying: whole)
        let count = 1 << 22 + 1008
        let atOnce = call.run(variant, whole.pointer, count: count, offset: offset)
        var first = 0
        var same = true
        while first < count {
            let size = min(100_003 / call.granularity * call.granularity, count - first)
            same = same && call.run(variant, parts.pointer, count: size).elementsEqual(atOnce[first..<first + size])
            first += size
        }
        #expect(same)
        #expect(whole.stands(where: parts))
    }

    @Test("Calls for no elements leave the stream unchanged", arguments: Variant.all)
    func callsForNothingLeaveTheStream(variant: Variant) {
        for after in [0, 1, 623, 624, 625] as [UInt64] {
            let stream = Stream(seed: 3)
            variant.kernels.skip(stream.pointer, after)
            let before = Stream(copying: stream)
            var random = SplitMix(state: after)
            for _ in 0..<50 { #expect(Call.random(using: &random).run(variant, stream.pointer, count: 0).isEmpty) }
            variant.kernels.skip(stream.pointer, 0)
            variant.kernels.jump(stream.pointer, 0)
            #expect(stream.stands(where: before))
        }
    }

    @Test("Only supported variants are offered, the best first")
    func variantsAreOfferedBestFirstAndNoMoreThanFit() {
        var tables = [UnsafePointer<ctk_kernels>?](repeating: nil, count: 8)
        let names = tables.withUnsafeMutableBufferPointer { buffer -> [String] in
            buffer.withMemoryRebound(to: UnsafePointer<ctk_kernels>.self) { tables in
                guard let base = tables.baseAddress else { return [] }
                let all = ctk_variants(base, 0)
                #expect(ctk_variants(base, 1) == all)
                return [String(cString: base.pointee.pointee.name)]
            }
        }
        #expect(tables[1] == nil)
        #expect(names.first == String(cString: ctk_best().pointee.name))
        #expect(names.first == Variant.all.first?.testDescription)
        #if arch(x86_64)
            #expect(Variant.all.last?.testDescription == "portable")
        #elseif arch(arm64)
            #expect(Variant.all.map(\.testDescription) == ["neon"])
        #endif
    }
}

extension Call {
    static func random(using random: inout SplitMix) -> Call {
        func float(_ range: ClosedRange<Float>) -> Float { .random(in: range, using: &random) }
        /// Ordinary ranges, empty ranges, ranges of a few representable numbers, in which the upper bound is often hit,
        /// and ranges that end in subnormals.
        func range() -> UniformRange<Float> {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: UniformRange(from: 0, to: 1)
            case 1: UniformRange(from: -0.0, to: Bool.random(using: &random) ? 0 : float(0...1))
            case 2:
                {
                    let from = float(-4...4)
                    return UniformRange(from: from, to: from + Float(Int.random(in: 0...3, using: &random)) * from.ulp)
                }()
            case 3: UniformRange(from: float(-1...0) * 0x1p-130, to: float(0...1) * 0x1p-123)
            case 4: UniformRange(from: -65504, to: float(1...65504))
            default:
                {
                    let bound = float(0...2)
                    return UniformRange(from: -bound, to: bound)
                }()
            }
        }
        func moments() -> (mean: Float, std: Float) {
            switch Int.random(in: 0..<5, using: &random) {
            case 0: (0, 1)
            case 1: (-0.0, 0)
            case 2: (float(-2...2) * 1e-6, float(0...1) * 0x1p-126)
            case 3: (float(-9...9), 30_000)
            default: (float(-3...3), float(0...3))
            }
        }
        let (mean, std) = moments()
        switch Int.random(in: 0..<9, using: &random) {
        case 0: return .words
        case 1: return .uniform32(range())
        case 2:
            let from = Double.random(in: -3...3, using: &random)
            let steps = Double(Int.random(in: 0...3, using: &random))
            let to = Bool.random(using: &random) ? from + steps * from.ulp : from + steps
            return .uniform64(UniformRange(from: from, to: to))
        case 3: return .uniform16(range())
        case 4: return .uniformBrain(range())
        case 5: return .normal32(mean: mean, std: std)
        case 6: return .normal64(mean: Double(mean) * 1.1, std: Double(std) * 1.1)
        case 7: return .normal16(mean: mean, std: std)
        default: return .normalBrain(mean: mean, std: std)
        }
    }
}
