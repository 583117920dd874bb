import CTorchKernels
import SHA2
import Testing

/// Values made by PyTorch 2.13 on x86-64 with AVX2. The seed is 42 unless another is given.
@Suite struct KnownValueTests {
    @Test("Words are those of MT19937", arguments: Variant.all)
    func wordsAreThoseOfMT19937(variant: Variant) {
        #expect(
            Call.words.run(variant, seed: 42, count: 5)
                == [1_608_637_542, 3_421_126_067, 4_083_286_876, 787_846_414, 3_143_890_026]
        )
        #expect(
            Call.words.run(variant, seed: 0, count: 5)
                == [2_357_136_044, 2_546_248_239, 3_071_714_933, 3_626_093_760, 2_588_848_963]
        )
        // The C++ standard's check of std::mt19937.
        #expect(Call.words.run(variant, seed: 5489, count: 10_000).last == 4_123_659_995)
    }

    @Test("Uniforms are PyTorch's", arguments: Variant.all)
    func uniformsAreTheLibrarys(variant: Variant) {
        let single = UniformRange<Float>(from: -0.1, to: 0.1)
        let double = UniformRange<Double>(from: -0.1, to: 0.1)
        #expect(Call.uniform32(single).run(variant, seed: 42, count: 3) == [0x3d9c_93d7, 0x3da9_fc52, 0xbcbf_ea80])
        #expect(
            Call.uniform64(double).run(variant, seed: 42, count: 3)
                == [0xbfb6_9f5b_8689_36e2, 0xbfb6_6106_1b43_de50, 0xbfb3_45bb_8d70_45f5]
        )
        #expect(Call.uniform16(single).run(variant, seed: 42, count: 3) == [0x2ce5, 0x2d50, 0xa5ff])
        #expect(Call.uniformBrain(single).run(variant, seed: 42, count: 3) == [0x3d9d, 0x3daa, 0xbcc0])
    }

    @Test("Normals are PyTorch's", arguments: Variant.all)
    func normalsAreTheLibrarys(variant: Variant) {
        func firstFour(_ call: Call) -> [UInt64] { Array(call.run(variant, seed: 42, count: 16).prefix(4)) }
        #expect(firstFour(.normal32(mean: 0, std: 1)) == [0x3ff6_a529, 0x3fbe_5f53, 0x3f66_9567, 0xc006_c0db])
        #expect(
            firstFour(.normal64(mean: 0, std: 1))
                == [0x3fd3_2bee_22cc_b503, 0x3fcf_063c_4666_8b78, 0x3fd2_2011_e840_abbd, 0xbfcd_d10c_e0b8_c5a4]
        )
        #expect(firstFour(.normal16(mean: 0, std: 1)) == [0x3fb5, 0x3df3, 0x3b35, 0xc036])
        #expect(firstFour(.normalBrain(mean: 0, std: 1)) == [0x3ff7, 0x3fbe, 0x3f67, 0xc007])
    }

    /// The last 16 of 17 normals are a block of their own. It is drawn after all 17 uniforms; in 16-bit types, after
    /// the
    /// first block.
    @Test("Normals may start anywhere in the stream", arguments: Variant.all)
    func normalsStartAnywhereInTheStream(variant: Variant) {
        func ends(_ call: Call, after words: UInt64) -> [UInt64] {
            let block = call.run(variant, seed: 42, after: words, count: 16)
            return [block[0], block[14], block[15]]
        }
        #expect(ends(.normal32(mean: 0, std: 1), after: 17) == [0xbe23_6d85, 0x3f5c_1fb0, 0xbe9e_9482])
        #expect(
            ends(.normal64(mean: 0, std: 1), after: 34)
                == [0x3ff8_12ba_60e8_23bd, 0x3feb_5ded_dd31_4d28, 0x3fcf_ecba_7d41_2db7]
        )
        #expect(ends(.normal16(mean: 0, std: 1), after: 16) == [0x3e92, 0xb406, 0x3ae1])
        #expect(ends(.normalBrain(mean: 0, std: 1), after: 16) == [0x3fd2, 0xbe81, 0x3f5c])
    }

    /// A zero of the other sign equals the upper bound, so it is replaced by the lower bound.
    @Test("An empty range gives the bits of its lower bound", arguments: Variant.all)
    func emptyRangesGiveTheLowerBoundsBits(variant: Variant) {
        let single = UniformRange<Float>(from: -0.0, to: 0.0)
        let double = UniformRange<Double>(from: -0.0, to: 0.0)
        let count = 40
        #expect(Call.uniform32(single).run(variant, seed: 1, count: count).allSatisfy { $0 == 0x8000_0000 })
        #expect(Call.uniform64(double).run(variant, seed: 1, count: count).allSatisfy { $0 == 1 << 63 })
        #expect(Call.uniform16(single).run(variant, seed: 1, count: count).allSatisfy { $0 == 0x8000 })
        #expect(Call.uniformBrain(single).run(variant, seed: 1, count: count).allSatisfy { $0 == 0x8000 })
    }

    /// Random inputs miss the rare differences, such as the two inputs that change when one multiply-add is not fused.
    @Test(
        "The transforms are PyTorch's for every input",
        .enabled(if: optimised, "2^24 inputs need an optimised build"),
        arguments: Variant.all
    )
    func transformsAreTheLibrarysForEveryInput(variant: Variant) {
        let chunk = 1 << 16
        var radius = SHA256()
        var sine = SHA256()
        var cosine = SHA256()
        var radii = [Float](repeating: 0, count: chunk)
        var (sines, cosines) = (radii, radii)
        for first in stride(from: 0, to: 1 << 24, by: chunk) {
            let inputs = (first..<first + chunk).map { UInt32($0) }
            variant.kernels.radius_f32(inputs, &radii, chunk)
            variant.kernels.sincos_f32(inputs, &sines, &cosines, chunk)
            radii.withUnsafeBytes { radius.update(bufferPointer: $0) }
            sines.withUnsafeBytes { sine.update(bufferPointer: $0) }
            cosines.withUnsafeBytes { cosine.update(bufferPointer: $0) }
        }
        #expect(radius.finalize().description == "76e7a929fba381cbf76f50067a0916c27a4e1ff1d786b30d06f4091dce74cc8f")
        #expect(sine.finalize().description == "cf51824cdb98f1c2f535f4cc1c24ce27ce429632ece60d42249e211f555b8dca")
        #expect(cosine.finalize().description == "0159be50a0cb9ad5d1e32bf5a361bd792fd09b17bdcf5b000e8a4fe4638cde4d")
    }

    @Test("The transforms take any number of inputs", arguments: Variant.all)
    func transformsTakeAnyNumberOfInputs(variant: Variant) {
        let inputs = (0..<300).map { UInt32($0 * 55_924) }
        let radii: [UInt32] = inputs.map { k in
            guarded(1) { variant.kernels.radius_f32([k], $0.assumingMemoryBound(to: Float.self), 1) }[0]
        }
        for count in 0...inputs.count {
            let many: [UInt32] = guarded(count) {
                variant.kernels.radius_f32(inputs, $0.assumingMemoryBound(to: Float.self), count)
            }
            #expect(many == Array(radii.prefix(count)))
            var sines: [UInt32] = []
            let cosines: [UInt32] = guarded(count) { cosine in
                sines = guarded(count) {
                    variant.kernels.sincos_f32(
                        inputs,
                        $0.assumingMemoryBound(to: Float.self),
                        cosine.assumingMemoryBound(to: Float.self),
                        count
                    )
                }
            }
            for (s, c) in zip(sines, cosines) {
                let (s, c) = (Float(bitPattern: s), Float(bitPattern: c))
                #expect(abs(s * s + c * c - 1) < 1e-6)
            }
        }
    }
}
