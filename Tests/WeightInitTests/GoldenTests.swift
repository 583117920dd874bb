import ByteSource
import ByteText
import SHA2
import Foundation
import GoldenVectors
import Testing
import TorchRandom
import WeightInit

@Suite("Tensors have PyTorch's bits")
struct GoldenTests {
    @Test("Single tensors have PyTorch's bits", arguments: GoldenCase.visible.filter { $0.kind == .`init` })
    func tensor(_ golden: GoldenCase) throws {
        let request = try request(golden.method, golden.shape, golden.dtype, golden.params)
        let plan = try Plan(request, seed: Seed(decimal: Text(golden.seed)))
        let bytes = try readAll(plan.prepared().makeSource())
        switch try unwrap(golden.compare) {
        case .bits:
            #expect(SHA256.hash(data: bytes).description == golden.sha256)
        case .tolerance:
            let expected = try readFloats(npy: try unwrap(golden.npy))
            let format = try unwrap(request.dtype.floatFormat)
            let tolerance = try unwrap(golden.absoluteTolerance)
            try #require(bytes.count == expected.count * format.itemSize)
            for (index, value) in expected.enumerated() {
                #expect(abs(number(bytes, index, format) - value) <= tolerance, "element \(index)")
            }
        }
        #expect(try nextWord(after: plan) == golden.nextRandom31)
    }

    @Test(
        "Tensors drawn in turn from one generator have PyTorch's bits",
        arguments: GoldenCase.visible.filter { $0.kind == .sequence }
    )
    func sequence(_ golden: GoldenCase) throws {
        let steps = try unwrap(golden.steps)
        let requests = try steps.map { try request($0.method, $0.shape, $0.dtype, $0.params) }
        let plan = try Plan(requests, seed: Seed(decimal: Text(golden.seed)))
        let prepared = try plan.prepared()
        for (index, step) in steps.enumerated() {
            #expect(SHA256.hash(data: readAll(prepared.makeSource(index))).description == step.sha256, "step \(index)")
        }
        #expect(try nextWord(after: plan) == golden.nextRandom31)
    }

    @Test("Requests that PyTorch refuses are refused", arguments: GoldenCase.visible.filter { $0.kind == .error })
    func refusal(_ golden: GoldenCase) throws {
        let error = #expect(throws: InitError.self) {
            try Plan(
                try request(golden.method, golden.shape, golden.dtype, golden.params),
                seed: Seed(decimal: Text(golden.seed))
            )
        }
        #expect(
            error?.kind
                == (golden.errorMessage?.contains("not supported") == true
                    || golden.errorMessage?.contains("Unsupported") == true ? .invalid : .refused)
        )
    }

    @Test("Seeds that PyTorch refuses are refused", arguments: GoldenCase.visible.filter { $0.kind == .seedError })
    func seedRefusal(_ golden: GoldenCase) {
        let error = #expect(throws: InitError.self) { try Seed(decimal: Text(golden.seed)) }
        #expect(error?.path == ["seed"])
    }

    @Test("Gains are PyTorch's", arguments: GoldenCase.visible.filter { $0.kind == .gain })
    func gain(_ golden: GoldenCase) throws {
        let nonlinearity = try unwrap(Nonlinearity.named(Text(try unwrap(golden.nonlinearity))))
        #expect(try nonlinearity.gain(param: golden.param) == Double(try unwrap(golden.gainHex)))
    }

    @Test("Permutations are PyTorch's", arguments: GoldenCase.visible.filter { $0.kind == .randperm })
    func permutation(_ golden: GoldenCase) throws {
        let count = try unwrap(golden.n)
        let stream = WordStream(seed: try Seed(decimal: Text(golden.seed)).effective)
        let bytes = stream.randomPermutation(of: count, prefix: count).flatMap { entry in
            (0..<8).map { UInt8(truncatingIfNeeded: entry >> (8 * $0)) }
        }
        #expect(SHA256.hash(data: bytes).description == golden.sha256)
        #expect(stream.next() & 0x7fff_ffff == golden.nextRandom31)
    }

    @Test("Words are PyTorch's", arguments: GoldenCase.visible.filter { $0.kind == .raw })
    func words(_ golden: GoldenCase) throws {
        let stream = WordStream(seed: try Seed(decimal: Text(golden.seed)).effective)
        let bytes = (0..<(try unwrap(golden.wordCount))).flatMap { _ in
            let word = stream.next()
            return (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
        #expect(SHA256.hash(data: bytes).description == golden.sha256)
    }

    @Test("Models have PyTorch's bits", arguments: GoldenModel.visible)
    func model(_ golden: GoldenModel) throws {
        let dtype = try #require(DType(rawValue: golden.dtype))
        let entries = golden.layers.map { layer in
            ModelEntry(
                content: .layer(
                    LayerRequest(type: Text(layer.type), dtype: dtype, arguments: arguments(layer.args))
                )
            )
        }
        let plan = try Plan(ModelRequest(entries: entries), seed: Seed(decimal: Text(golden.seed)))
        let prepared = try plan.prepared()
        #expect(plan.tensors.map(\.name) == golden.tensors.map { Text($0.name) })
        for (index, (tensor, expected)) in zip(plan.tensors, golden.tensors).enumerated() {
            #expect(tensor.shape.dimensions == expected.shape)
            #expect(tensor.dtype.rawValue == expected.dtype)
            #expect(
                SHA256.hash(data: readAll(prepared.makeSource(index))).description == expected.sha256,
                "\(expected.name)"
            )
        }
        #expect(try nextWord(after: plan) == golden.nextRandom31)
    }

    @Test("Every vector belongs to one of these tests")
    func completeness() {
        #expect(GoldenCase.visible.count == 177)
        #expect(GoldenModel.visible.count == 12)
    }
}

/// `#require` for use inside another macro's arguments.
private func unwrap<Value>(_ value: Value?) throws -> Value {
    try #require(value)
}

private func request(
    _ method: String?,
    _ shape: [Int]?,
    _ dtype: String?,
    _ params: [String: GoldenParameter]?
) throws -> TensorRequest {
    let method = try unwrap(InitMethod.named(Text(try unwrap(method))))
    var arguments = Arguments()
    for (name, value) in params ?? [:] {
        let name = Text(name)
        let parameter = try unwrap(method.parameters.first { $0.name == name || $0.aliases.contains(name) })
        arguments[parameter.name] = argument(value, parameter.kind)
    }
    return TensorRequest(
        method: method.name,
        shape: try Shape(try unwrap(shape)),
        dtype: try unwrap(DType(rawValue: try unwrap(dtype))),
        arguments: arguments
    )
}

private func argument(_ value: GoldenParameter, _ kind: Parameter.Kind) -> ParameterValue {
    switch (value, kind) {
    case (.integer(let integer), .integer): .integer(integer)
    case (.integer(let integer), .gain): .gain(.number(Double(integer)))
    case (.integer(let integer), _): .number(Double(integer))
    case (.number(let number), .gain): .gain(.number(number))
    case (.number(let number), _): .number(number)
    case (.text(let text), _): .text(Text(text))
    }
}

private func arguments(_ given: [String: GoldenArgument]) -> Arguments {
    Arguments(Dictionary(uniqueKeysWithValues: given.map { (Text($0.key), argument($0.value)) }))
}

private func argument(_ value: GoldenArgument) -> ParameterValue {
    switch value {
    case .none: .null
    case .boolean(let boolean): .boolean(boolean)
    case .integer(let integer): .integer(integer)
    case .number(let number): .number(number)
    case .integers(let integers): .integers(integers)
    }
}

private func nextWord(after plan: Plan) throws -> UInt32 {
    let stream = WordStream(seed: plan.seed.effective)
    stream.seek(to: try plan.end().word)
    return stream.next() & 0x7fff_ffff
}

private func number(_ bytes: [UInt8], _ index: Int, _ format: FloatFormat) -> Double {
    let bits = bytes[index * format.itemSize..<(index + 1) * format.itemSize]
    return format.value(bits: bits.reversed().reduce(0) { $0 << 8 | UInt64($1) })
}
