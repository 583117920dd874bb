import ByteText
import ByteSource
import Testing
import TorchRandom
import WeightInit

/// Requests for each method, with sizes around every boundary of the method.
private let requests: [TensorRequest] = {
    func request(_ method: Text, _ dimensions: [Int], _ arguments: [Text: ParameterValue] = [:]) -> TensorRequest? {
        (try? Shape(dimensions)).map { TensorRequest(method: method, shape: $0, arguments: Arguments(arguments)) }
    }
    let sizes = [1, 3, 15, 16, 17, 31, 32, 33, 624, 1000, 5000]
    let spread: [TensorRequest?] =
        sizes.flatMap { size in
            [
                request("uniform", [size], ["a": .number(-0.3), "b": .number(0.7)]),
                request("normal", [size], ["mean": .number(0.1), "std": .number(2)]),
                request("trunc_normal", [size]),
                request("trunc_normal", [size], ["a": .number(0.5), "b": .number(3)]),
                request("xavier_normal", [size, 3]),
                request("kaiming_uniform", [3, size]),
                request("constant", [size], ["value": .number(0.3)]),
            ]
        } + [
            request("eye", [33, 21]), request("dirac", [6, 4, 3, 3], ["groups": .integer(2)]),
            request("sparse", [40, 30], ["sparsity": .number(0.3)]),
            request("sparse", [3, 4], ["sparsity": .number(0.5)]), request("orthogonal", [20, 30]),
            request("orthogonal", [30, 20], ["gain": .gain(.number(2))]),
        ]
    return spread.compactMap { $0 }
}()

@Suite("Any part of a tensor can be read by position")
struct PositionTests {
    @Test("Every split into ranges gives the whole", arguments: DType.requestable)
    func ranges(dtype: DType) throws {
        var generator = SplitMix(state: 1)
        for var request in requests {
            if request.method?.name == "orthogonal", dtype.itemSize == 2 { continue }
            request.dtype = dtype
            let prepared = try Plan(request, seed: Seed(UInt64(7))).prepared()
            let whole = readAll(prepared.makeSource())
            #expect(whole.count == request.shape.elementCount * dtype.itemSize)
            #expect(readAll(prepared.makeSource(), pieces: 7) == whole, "\(request) in pieces of 7 bytes")
            let wandering = prepared.makeSource()
            for _ in 0..<20 {
                let start = Int.random(in: 0..<whole.count, using: &generator)
                let count = Int.random(in: 1...min(300, whole.count - start), using: &generator)
                #expect(
                    read(wandering, at: start, count: count) == Array(whole[start..<start + count]),
                    "\(request) from \(start)"
                )
            }
        }
    }

    @Test("A range near the end of a tensor of 1 TiB has the numbers that two jumps lead to")
    func farOut() throws {
        // 2^38 elements: 1 TiB.
        let request = TensorRequest(method: "normal", shape: try Shape([1 << 19, 1 << 19]))
        var limits = Limits()
        limits.maximumTensorBytes = 1 << 41
        let source = try Plan(request, seed: Seed(UInt64(3)), limits: limits).prepared().makeSource()
        let position = source.byteCount - 64
        let stream = WordStream(seed: 3)
        // Two seeks, where the source needs one.
        stream.seek(to: 123_456_789_012)
        stream.seek(to: 1 << 38 - 16)
        var block = [UInt8](repeating: 0, count: 64)
        var storage = block.mutableSpan
        var bytes = storage.mutableBytes
        stream.fillNormalBlocks(.float32, mean: 0, std: 1, blocks: 1, into: &bytes)
        #expect(read(source, at: position, count: 64) == block)
    }

    @Test("A read ends after a bounded amount of work")
    func bounded() throws {
        let request = TensorRequest(method: "normal", shape: try Shape([1 << 26]))
        let source = try Plan(request, seed: Seed(UInt64(3))).prepared().makeSource()
        var buffer = [UInt8](repeating: 0, count: 1 << 26)
        var storage = buffer.mutableSpan
        var bytes = storage.mutableBytes
        let count = source.read(at: 0, into: &bytes)
        #expect(count > 0 && count <= 5 << 22)
    }
}

@Suite("A stream fills memory at any alignment")
struct AlignmentTests {
    @Test("A stream fills memory at any alignment", arguments: FloatFormat.allCases, 0..<9)
    func alignment(format: FloatFormat, offset: Int) {
        let count = 160
        func filled(at offset: Int, _ fill: (WordStream, inout MutableRawSpan) -> Void) -> [UInt8] {
            var bytes = [UInt8](repeating: 0xaa, count: offset + count * format.itemSize + 1)
            var storage = bytes.mutableSpan
            var span = storage.mutableBytes
            var rest = span._mutatingExtracting(offset..<offset + count * format.itemSize)
            fill(WordStream(seed: 9), &rest)
            #expect(bytes[..<offset].allSatisfy { $0 == 0xaa } && bytes.last == 0xaa)
            return Array(bytes[offset..<offset + count * format.itemSize])
        }
        let normal: (WordStream, inout MutableRawSpan) -> Void = { stream, span in
            stream.fillNormalBlocks(format, mean: 0, std: 1, blocks: count / 16, into: &span)
        }
        let uniform: (WordStream, inout MutableRawSpan) -> Void = { stream, span in
            stream.fillUniform(format, from: -1, to: 1, elements: count, into: &span)
        }
        #expect(filled(at: offset, normal) == filled(at: 0, normal))
        #expect(filled(at: offset, uniform) == filled(at: 0, uniform))
    }
}

/// The generator of Steele, Lea and Flood 2014, so that a failure can be reproduced.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
