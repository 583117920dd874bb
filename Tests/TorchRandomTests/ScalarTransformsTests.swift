import SHA2
import Testing
import TorchRandom

/// SHA-256 of a function's float32 values over all 2^24 inputs, little-endian, in order.
private func digest(_ function: (UInt32) -> Float) -> String {
    var hash = SHA256()
    var block = [UInt32]()
    for first in stride(from: UInt32(0), to: 1 << 24, by: 1 << 16) {
        block.removeAll(keepingCapacity: true)
        for k in first..<first + 1 << 16 { block.append(function(k).bitPattern.littleEndian) }
        block.withUnsafeBytes { hash.update(bufferPointer: $0) }
    }
    return hash.finalize().description
}

private func oneMinus(_ k: UInt32) -> Float { 1 - Float(k) * 0x1p-24 }

/// PyTorch made the digests, with a generator that was set to draw every input.
@Suite("The transforms have PyTorch's bits for every one of their 2^24 inputs")
struct ExhaustiveTransformTests {
    @Test("The radius of a normal has PyTorch's bits")
    func radius() {
        #expect(
            digest { ScalarTransforms.radius(oneMinus($0)) }
                == "76e7a929fba381cbf76f50067a0916c27a4e1ff1d786b30d06f4091dce74cc8f"
        )
    }

    @Test("The logarithm has PyTorch's bits")
    func logarithm() {
        #expect(
            digest { ScalarTransforms.log(oneMinus($0)) }
                == "20e15d6387eaf272777e51b53cb92f0d8d6c4bf7ae46cab661205cb928f524bd"
        )
    }

    @Test("The sine has PyTorch's bits")
    func sine() {
        #expect(
            digest { ScalarTransforms.sincosOfTurns(Float($0) * 0x1p-24).sin }
                == "cf51824cdb98f1c2f535f4cc1c24ce27ce429632ece60d42249e211f555b8dca"
        )
    }

    @Test("The cosine has PyTorch's bits")
    func cosine() {
        #expect(
            digest { ScalarTransforms.sincosOfTurns(Float($0) * 0x1p-24).cos }
                == "0159be50a0cb9ad5d1e32bf5a361bd792fd09b17bdcf5b000e8a4fe4638cde4d"
        )
    }
}
