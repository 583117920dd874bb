import ByteSource
import ByteText
import SHA2
import Testing

@testable import WeightInit

@Suite("Steps do what PyTorch does to a tensor")
struct StepTests {
    @Test(
        "Every step has PyTorch's result in every type, on tensors and on blocks",
        arguments: try StepVector.all("steps.jsonl")
    )
    func vectors(_ vector: StepVector) throws {
        try expect(vector)
    }

    @Test(
        "Programs recorded from models' constructors have PyTorch's results",
        arguments: try StepVector.all("step_programs.jsonl")
    )
    func programs(_ vector: StepVector) throws {
        try expect(vector)
    }

    private func expect(_ vector: StepVector) throws {
        let plan = try Plan(vector.request, seed: vector.seed)
        #expect(Set(plan.tensors.map(\.name)) == Set(vector.tensors.keys))
        let prepared = try plan.prepared()
        for (index, tensor) in plan.tensors.enumerated() {
            let expected = try #require(vector.tensors[tensor.name])
            #expect(tensor.dtype == expected.dtype && tensor.shape.dimensions == expected.shape)
            var hash = SHA256()
            let source = prepared.makeSource(index)
            #expect(source.byteCount == tensor.byteCount)
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            var position = 0
            while position < source.byteCount {
                var storage = buffer.mutableSpan
                var span = storage.mutableBytes
                let count = source.read(at: position, into: &span)
                hash.update(data: buffer.prefix(count))
                position += count
            }
            #expect(hex(hash.finalize()) == expected.digest, "\(tensor.name)")
        }
    }

    @Test(
        "Any range and any block of a tensor with steps have the same bytes as in the whole",
        arguments: try StepVector.all("steps.jsonl")
    )
    func positions(_ vector: StepVector) throws {
        var generator = SplitMix(state: UInt64(vector.line))
        let whole = try Plan(vector.request, seed: vector.seed)
        let prepared = try whole.prepared()
        let generators = Generators()
        for index in whole.tensors.indices.shuffled(using: &generator) {
            let tensor = whole.tensors[index]
            guard tensor.byteCount > 0, tensor.byteCount < 1 << 14 else { continue }
            let bytes = readAll(prepared.makeSource(index))
            #expect(readAll(prepared.makeSource(index, generators)) == bytes)
            #expect(readAll(prepared.makeSource(index), pieces: 7) == bytes)
            let source = prepared.makeSource(index)
            for _ in 0..<4 {
                let start = Int.random(in: 0..<bytes.count, using: &generator)
                let count = Int.random(in: 1...bytes.count - start, using: &generator)
                #expect(read(source, at: start, count: count) == Array(bytes[start..<start + count]))
            }
            var request = vector.request
            let ranges = tensor.shape.dimensions.map { size in
                let first = Int.random(in: 0..<size, using: &generator)
                return first..<Int.random(in: first + 1...size, using: &generator)
            }
            let slice = ranges.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ",")
            request.slices = [tensor.name: try Slice(Text(slice))]
            let sliced = try Plan(request, seed: vector.seed)
            let expected = block(
                of: bytes,
                shape: tensor.shape.dimensions,
                itemSize: tensor.dtype.itemSize,
                ranges
            )
            #expect(readAll(try sliced.prepared().makeSource(index)) == expected, "\(tensor.name) [\(slice)]")
        }
    }
}
