import CTorchKernels
import SHA2
import Testing

/// Arithmetic on elements, for every kernel set.
@Suite struct ChangeTests {
    private static let erfinv = [ctk_step(operation: CTK_INVERSE_ERROR, first: 0, second: 0)]

    private func erfinv(_ values: [Float], _ variant: Variant) -> [UInt32] {
        var values = values
        variant.kernels.change_f32(&values, values.count, Self.erfinv, 1)
        return values.map(\.bitPattern)
    }

    /// `Tests/Derivations/erfinv.py --prove` prints this digest: the floats nearest to the true values, for all inputs.
    @Test(.enabled(if: optimised), arguments: Variant.all)
    func erfinvIsTheNearestFloatForEveryInput(variant: Variant) {
        var hash = SHA256()
        var values = [Float](repeating: 0, count: 1 << 16)
        for first in stride(from: UInt32(0x3280_0000), to: 0x3f80_0000, by: values.count) {
            for index in values.indices { values[index] = Float(bitPattern: first + UInt32(index)) }
            variant.kernels.change_f32(&values, values.count, Self.erfinv, 1)
            values.withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        #expect(hash.finalize().description == "b805d5d44d153c212b7168fa86c640eb287629138b68812af7aee1470ec78833")
    }

    @Test(arguments: Variant.all)
    func erfinvIsOddAndEndsAtOne(variant: Variant) {
        #expect(
            erfinv([0, -0.0, 1, -1, 1.5, -.infinity, .nan, .leastNonzeroMagnitude, 0x1p-140, 0x1p-100], variant)
                == [
                    0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0xffc0_0000, 0xffc0_0000, Float.nan.bitPattern, 1,
                    Float(0x1p-140 * 0x1.c5bf891b4ef6ap-1).bitPattern,
                    Float(0x1p-100 * 0x1.c5bf891b4ef6ap-1).bitPattern,
                ]
        )
        let inputs = stride(from: UInt32(0x3000_0000), to: 0x3f80_0000, by: 12_345).map { Float(bitPattern: $0) }
        let (plus, minus) = (erfinv(inputs, variant), erfinv(inputs.map { -$0 }, variant))
        #expect(plus.map { $0 | 0x8000_0000 } == minus)
    }

    /// Compares with one step after the other in Swift, rounded by PyTorch's rules.
    @Test(arguments: Variant.all)
    func chainsRoundAfterEachStep(variant: Variant) {
        let steps = [
            ctk_step(operation: CTK_MULTIPLY, first: Double(Float(0.3)), second: 0),
            ctk_step(operation: CTK_ADD, first: -0.125, second: 0),
            ctk_step(operation: CTK_DIVIDE, first: Double(Float(0.7)), second: 0),
            ctk_step(operation: CTK_SUBTRACT, first: 0.5, second: 0),
            ctk_step(operation: CTK_CLAMP, first: -1.5, second: 0.75),
        ]
        func reference(_ x: Float, _ round: (Float) -> Float) -> Float {
            var x = round(x * Float(0.3))
            x = round(x + -0.125)
            x = round(x / Float(0.7))
            x = round(x - 0.5)
            return x < -1.5 ? -1.5 : x > 0.75 ? 0.75 : x
        }
        for count in [0, 1, 3, 15, 16, 17, 64, 511, 512, 513, 2000] {
            let values = (0..<count).map { Float($0 * 7919 % 4001 - 2000) / 300 }
            var single = values
            variant.kernels.change_f32(&single, count, steps, steps.count)
            #expect(single == values.map { reference($0) { $0 } })
            var double = values.map(Double.init)
            variant.kernels.change_f64(&double, count, steps, steps.count)
            #expect(
                double
                    == values.map { value in
                        let x = ((Double(value) * Double(Float(0.3)) + -0.125) / Double(Float(0.7))) - 0.5
                        return x < -1.5 ? -1.5 : x > 0.75 ? 0.75 : x
                    }
            )
            var half = values.map { Float16($0).bitPattern }
            variant.kernels.change_f16(&half, count, steps, steps.count)
            #expect(
                half == values.map { Float16(reference(Float(Float16($0))) { Float(Float16($0)) }).bitPattern }
            )
            func brain(_ x: Float) -> Float {
                Float(bitPattern: (x.bitPattern + 0x7fff + (x.bitPattern >> 16 & 1)) & 0xffff_0000)
            }
            var brains = values.map { UInt16(brain($0).bitPattern >> 16) }
            variant.kernels.change_bf16(&brains, count, steps, steps.count)
            #expect(brains == values.map { UInt16(reference(brain($0), brain).bitPattern >> 16) })
        }
    }

    /// Compares with erfinv alone, which the digest above proves, and then one step after the other in Swift.
    @Test(arguments: Variant.all)
    func stepsAfterErfinvRoundAsIfEachWereAlone(variant: Variant) {
        let scale = Float(0.02 * 1.4142135623730951)
        let after = [
            ctk_step(operation: CTK_MULTIPLY, first: Double(scale), second: 0),
            ctk_step(operation: CTK_ADD, first: 0.0078125, second: 0),
            ctk_step(operation: CTK_CLAMP, first: -0.04, second: 0.05),
        ]
        let (low, high) = (Float(-0.04), Float(0.05))
        func clamped(_ x: Float) -> Float { x < low ? low : x > high ? high : x }
        // Every part of the range, its ends, NaN, and thousands of values that the table does not decide.
        var random = SplitMix(state: 16)
        var values = (0..<200_000).map { _ in Float.random(in: -1...1, using: &random) }
        values += [
            0, -0.0, 1, -1, 1.5, .nan, .infinity, .leastNonzeroMagnitude, 0x1p-25, 0x1p-26, 1 - 0x1p-14, 1 - 0x1p-24,
        ]
        values.shuffle(using: &random)
        func bits(_ values: [Float]) -> [UInt32] { values.map { $0.isNaN ? 0 : $0.bitPattern } }

        for (steps, made) in [
            (after, { (x: Float) in clamped(x * scale + 0.0078125) }),
            (Array(after.prefix(1)), { $0 * scale }),
            (Array(after.prefix(2)), { $0 * scale + 0.0078125 }),
            ([after[0], after[2]], { clamped($0 * scale) }),
            ([after[2]], clamped),
            ([after[1], after[0]], { ($0 + 0.0078125) * scale }),
        ] {
            for count in [1, 7, 8, 9, 511, 512, 513, values.count] {
                for offset in 0..<2 {
                    let part = Array(values[offset..<min(values.count, offset + count)])
                    var inverse = part
                    variant.kernels.change_f32(&inverse, part.count, Self.erfinv, 1)
                    let all: [UInt32] = guarded(part.count, offset: offset) { memory in
                        memory.copyMemory(from: part, byteCount: 4 * part.count)
                        variant.kernels.change_f32(memory, part.count, Self.erfinv + steps, 1 + steps.count)
                    }
                    // A Boolean, so that a failure does not print them.
                    let same = bits(all.map { Float(bitPattern: $0) }) == bits(inverse.map(made))
                    #expect(same)
                }
            }
        }
        let halves = values.map { Float16($0) }
        var inverse = halves.map { $0.bitPattern }
        var all = inverse
        variant.kernels.change_f16(&inverse, halves.count, Self.erfinv, 1)
        variant.kernels.change_f16(&all, halves.count, Self.erfinv + after, 4)
        let expected = inverse.map { bits -> Float in
            let scaled = Float(Float16(Float(Float16(bitPattern: bits)) * scale))
            return Float(Float16(clamped(Float(Float16(scaled + 0.0078125)))))
        }
        let same = bits(all.map { Float(Float16(bitPattern: $0)) }) == bits(expected)
        #expect(same)
    }
}
