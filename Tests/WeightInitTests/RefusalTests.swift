import ByteText
import Testing
import WeightInit

private func refusal(
    _ method: Text,
    _ dimensions: [Int],
    _ arguments: [Text: ParameterValue] = [:],
    _ dtype: DType = .float32,
    limits: Limits = Limits()
) throws -> InitError? {
    let shape = try Shape(dimensions)
    let request = TensorRequest(method: method, shape: shape, dtype: dtype, arguments: Arguments(arguments))
    do throws(InitError) {
        _ = try Plan(request, seed: Seed(UInt64(0)), limits: limits)
        return nil
    } catch {
        return error
    }
}

@Suite("Requests that PyTorch refuses are refused")
struct RefusalTests {
    @Test("Bounds of a uniform are refused as by PyTorch")
    func uniformBounds() throws {
        #expect(try refusal("uniform", [3], ["a": .number(2), "b": .number(1)])?.path == ["a"])
        #expect(try refusal("uniform", [3], ["a": .number(-1e39)])?.path == ["a"])
        #expect(try refusal("uniform", [3], ["b": .number(.infinity)])?.path == ["b"])
        #expect(try refusal("uniform", [3], ["a": .number(.nan)])?.path == ["a"])
        #expect(try refusal("uniform", [3], ["a": .number(-3e38), "b": .number(3e38)])?.path == ["b"])
        #expect(try refusal("uniform", [3], ["a": .number(-3e38), "b": .number(3e38)], .float64) == nil)
        #expect(try refusal("uniform", [3], ["b": .number(65505)], .float16)?.path == ["b"])
        #expect(try refusal("uniform", [3], ["a": .number(1), "b": .number(1)]) == nil)
        #expect(try refusal("uniform", [0], ["a": .number(2), "b": .number(1)])?.kind == .refused)
    }

    @Test("Deviations of a normal are refused as by PyTorch")
    func normalDeviation() throws {
        #expect(try refusal("normal", [0], ["std": .number(-1)])?.kind == .refused)
        #expect(try refusal("normal", [3], ["std": .number(.nan)])?.kind == .refused)
        #expect(try refusal("normal", [3], ["std": .number(0)]) == nil)
        #expect(try refusal("normal", [3], ["mean": .number(.infinity), "std": .number(.infinity)]) == nil)
    }

    @Test("Constants are refused as by PyTorch")
    func constants() throws {
        #expect(try refusal("constant", [2], ["value": .number(65505)], .float16)?.path == ["value"])
        #expect(try refusal("constant", [0], ["value": .number(65505)], .float16)?.path == ["value"])
        #expect(try refusal("constant", [1], ["value": .number(65505)], .float16) == nil)
        #expect(try refusal("constant", [1], ["value": .number(1e39)])?.path == ["value"])
        #expect(try refusal("constant", [2], ["value": .number(-.infinity)], .float16) == nil)
        #expect(try refusal("constant", [2])?.kind == .invalid)
    }

    @Test("Shapes without fans are refused as by PyTorch")
    func fans() throws {
        #expect(try refusal("xavier_uniform", [0, 0])?.kind == .refused)
        #expect(try refusal("xavier_uniform", [0, 5]) == nil)
        #expect(try refusal("xavier_uniform", [3, 5], ["gain": .gain(.number(-1))])?.path == ["gain"])
        #expect(try refusal("kaiming_uniform", [0]) == nil)
        #expect(try refusal("kaiming_uniform", [3])?.kind == .refused)
        #expect(try refusal("kaiming_uniform", [3, 5], ["a": .number(1e200)])?.path == ["a"])
        let both: [Text: ParameterValue] = ["a": .number(1), "gain": .gain(.number(1))]
        #expect(try refusal("kaiming_uniform", [3, 5], both)?.kind == .invalid)
    }

    @Test("Shapes of matrix methods are refused as by PyTorch")
    func matrices() throws {
        #expect(try refusal("eye", [3, 3, 3])?.kind == .refused)
        #expect(try refusal("orthogonal", [3])?.kind == .refused)
        #expect(try refusal("orthogonal", [4, 4], [:], .bfloat16)?.path == ["dtype"])
        #expect(try refusal("orthogonal", [0, 4], [:], .bfloat16) == nil)
        #expect(try refusal("orthogonal", [1 << 20, 1 << 20])?.kind == .tooLarge)
        #expect(try refusal("sparse", [4, 4], ["sparsity": .number(.nan)])?.path == ["sparsity"])
        #expect(try refusal("sparse", [4, 4])?.path == ["sparsity"])
        #expect(try refusal("dirac", [4, 4])?.kind == .refused)
        #expect(try refusal("dirac", [4, 4, 3], ["groups": .integer(3)])?.path == ["groups"])
        #expect(try refusal("dirac", [4, 4, 3], ["groups": .integer(0)])?.path == ["groups"])
        #expect(try refusal("dirac", [4, 4, 3], ["groups": .integer(-2)]) == nil)
        #expect(try refusal("dirac", [4, 4, 0])?.path == ["shape"])
        #expect(try refusal("dirac", [4, 0, 0]) == nil)
    }

    @Test("Sizes that overflow an integer are refused")
    func sizes() {
        #expect(throws: InitError.self) { try Shape([1 << 32, 1 << 32]) }
        #expect(throws: InitError.self) { try Shape([0, 1 << 62, 1 << 62]) }
        #expect(throws: InitError.self) { try Shape([Int](repeating: 1, count: 65)) }
        #expect(throws: Never.self) { try Shape([Int](repeating: 1, count: 64)) }
        #expect(throws: InitError.self) { try Shape([-1]) }
        let most = TensorRequest(method: "normal", shape: try! Shape([1 << 61]), dtype: .float64)
        var limits = Limits()
        limits.maximumTensorBytes = .max
        #expect(throws: InitError.self) { try Plan(most, seed: Seed(UInt64(0)), limits: limits) }
    }

    @Test("The error about an unknown word lists the nearest known one first")
    func suggestions() throws {
        let unknown = InitError.unknown("method", "kaimin_normal", in: ["method"], known: InitMethod.all.map(\.name))
        #expect(unknown.allowed.first == "kaiming_normal")
        #expect(try refusal("normal", [3], ["sdt": .number(1)])?.allowed.first == "std")
    }
}

@Suite("An endless truncated normal is refused before it begins")
struct RoundLimitTests {
    private func truncated(
        _ mean: Double,
        _ std: Double,
        _ a: Double,
        _ b: Double,
        _ dtype: DType = .float32,
        count: Int = 1000
    ) throws -> InitError? {
        try refusal(
            "trunc_normal",
            [count],
            ["mean": .number(mean), "std": .number(std), "a": .number(a), "b": .number(b)],
            dtype
        )
    }

    @Test("Ordinary truncated normals are accepted")
    func ordinaryOnesAreTaken() throws {
        for dtype in DType.requestable {
            #expect(try truncated(0, 1, -2, 2, dtype) == nil)
            #expect(try truncated(0, 0.02, -2, 2, dtype) == nil)
            #expect(try truncated(0, 1, 1, 3, dtype) == nil)
            #expect(try truncated(3, 0.5, 0, 1, dtype) == nil)
            #expect(try truncated(0, 1, 1, 1, dtype) == nil)
        }
    }

    @Test("Bounds without a value that the type can draw between them are refused")
    func rounding() throws {
        // The bounds keep 68 % of the real normal; the float32 mean lies below both of them, and so do all draws.
        #expect(try truncated(1e9 + 20, 1e-3, 1e9 + 33, 1e9 + 40, .float32) != nil)
        #expect(try truncated(1 + 0x1p-25, 0x1p-30, 1 + 0x1p-25 - 0x1p-30, 1 + 0x1p-25 + 0x1p-30, .float32) == nil)
        #expect(try truncated(1 + 0x1p-24 + 0x1p-30, 1e-9, 1 + 0x1p-24 + 0x1p-31, 2, .float32) == nil)
        #expect(try truncated(2049, 1e-4, 2048.9999, 2049.0001, .float16) == nil)
    }

    @Test("A far tail within wide bounds is refused")
    func tail() throws {
        #expect(try truncated(0, 1, 8, 1e9)?.kind == .refused)
        #expect(try truncated(0, 1e-6, -1e6, 1)?.kind != .invalid)
        #expect(try truncated(0, 1, 5, 6) == nil)
    }

    @Test("A standard deviation of 0 is accepted as by PyTorch")
    func standardDeviationOfZero() throws {
        #expect(try truncated(0, 0, -2, 2)?.path == ["std"])
        #expect(try truncated(0, 1, 2, -2)?.kind == .refused)
        #expect(try truncated(0, 1, .infinity, .infinity)?.kind == .refused)
    }
}
