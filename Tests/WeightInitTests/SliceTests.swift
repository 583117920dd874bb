import ByteSource
import ByteText
import Testing
import WeightInit

@Suite("Slices are NumPy's")
struct SliceTests {
    /// Slices with the ranges of `numpy.arange(n)[...]`, by the documentation of Python's slice objects.
    @Test(
        "The ends of a slice may be negative, outside or missing",
        arguments: [
            ("2:5", 10, 2..<5), (":", 10, 0..<10), ("3:", 10, 3..<10), (":4", 10, 0..<4), ("-3:", 10, 7..<10),
            (":-3", 10, 0..<7), ("-3:-1", 10, 7..<9), ("5:2", 10, 5..<5), ("-100:3", 10, 0..<3), ("8:100", 10, 8..<10),
            ("100:", 10, 10..<10), (":-100", 10, 0..<0), ("-0:", 10, 0..<10), (":-0", 10, 0..<0), (":", 0, 0..<0),
            (" 2 : 5 ", 10, 2..<5), ("99999999999999999999:", 3, 3..<3), ("-99999999999999999999:2", 3, 0..<2),
            (":99999999999999999999", 3, 0..<3), ("\(Int.min):\(Int.max)", 3, 0..<3),
        ] as [(Text, Int, Range<Int>)]
    )
    func ends(_ text: Text, _ size: Int, _ range: Range<Int>) throws {
        let whole = try bytes("normal", [size, 5])
        #expect(
            try bytes("normal", [size, 5], slice: text)
                == Array(whole[range.lowerBound * 20..<range.upperBound * 20])
        )
    }

    @Test(
        "Equal slices have the same canonical form",
        arguments: [
            ("0:512", ":512"), ("0:,:", ""), (":,:,3:,:", ":,:,3:"), ("", ""), (" ", ""), ("00:07", ":7"),
            ("-0:5", ":5"),
            ("1:-1,-2:", "1:-1,-2:"),
        ] as [(Text, String)]
    )
    func notation(_ text: Text, _ expected: String) throws {
        #expect(try Slice(text).description == expected)
    }

    @Test(
        "A malformed slice is refused with the expected form",
        arguments: [
            ("3", "3:4"), ("-1", "-1:"), ("1:2:3", "step"), ("::2", "step"), ("a:b", "not an integer"),
            ("1:2,", "an item is empty"), (",", "an item is empty"), ("1.5:2", "not an integer"),
            ("...", "not an integer"),
            ("+1:2", "not an integer"), ("1_0:", "not an integer"), ("--1:", "not an integer"),
            ("-:", "not an integer"),
            ("[0:1]", "not an integer"), ("1 2:", "not an integer"),
            ("9223372036854775807", "would remove the dimension; a range keeps it: 9223372036854775807:"),
            (Text(String(repeating: ":,", count: 64) + ":"), "65 items"), ("١:", "not an integer"),
        ] as [(Text, String)]
    )
    func refusals(_ text: Text, _ detail: String) throws {
        let error = #expect(throws: InitError.self) { try Slice(text) }
        #expect(error?.kind == .invalid)
        #expect(error?.detail.contains(detail) == true, "\(error?.detail ?? "")")
    }

    @Test("A slice with more dimensions than the tensor is refused")
    func rank() throws {
        let request = TensorRequest(method: "zeros", shape: try Shape([2, 3]), slice: try Slice("1:,1:,1:"))
        let error = #expect(throws: InitError.self) { try Plan(request, seed: Seed(UInt64(0))) }
        #expect(error?.kind == .refused)
        #expect(error?.path == ["slice"])
        #expect(try bytes("zeros", [], slice: "").count == 4)
    }

    @Test(
        "A block of a tensor has the same numbers as in the whole tensor, for each method and type",
        arguments: DType.requestable
    )
    func blocks(_ dtype: DType) throws {
        var generator = SplitMix(state: 11)
        let cases: [(Text, [Int], [Text: ParameterValue])] = [
            ("uniform", [7, 9, 5], [:]), ("normal", [7, 9, 5], [:]), ("normal", [3, 4], [:]),
            ("normal", [4, 3, 2, 5, 3], [:]),
            ("trunc_normal", [7, 9, 5], [:]), ("trunc_normal", [12, 20], ["a": .number(1), "b": .number(3)]),
            ("trunc_normal", [5, 2], [:]), ("constant", [4, 4], ["value": .number(0.3)]), ("eye", [9, 12], [:]),
            ("dirac", [6, 4, 3], ["groups": .integer(2)]), ("sparse", [20, 15], ["sparsity": .number(0.4)]),
            ("orthogonal", [9, 14], [:]), ("kaiming_normal", [33, 65], [:]), ("normal", [0, 3], [:]),
            ("normal", [300], [:]),
        ]
        for (method, shape, arguments) in cases {
            if method == "orthogonal", dtype.itemSize == 2 { continue }
            let whole = try bytes(method, shape, dtype, arguments)
            for _ in 0..<12 {
                // Dimensions are often whole, and often have a single index.
                let ranges = shape.map { size -> Range<Int> in
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: return 0..<size
                    case 1:
                        let first = Int.random(in: 0...max(0, size - 1), using: &generator)
                        return first..<min(size, first + 1)
                    default:
                        let first = Int.random(in: 0...size, using: &generator)
                        return first..<Int.random(in: first...size, using: &generator)
                    }
                }
                let slice = ranges.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: ",")
                let request = TensorRequest(
                    method: method,
                    shape: try Shape(shape),
                    dtype: dtype,
                    arguments: Arguments(arguments),
                    slice: try Slice(Text(slice))
                )
                let plan = try Plan(request, seed: Seed(UInt64(5)))
                #expect(plan.tensors[0].shape.dimensions == ranges.map(\.count))
                #expect(plan.tensors[0].fullShape.dimensions == shape)
                let expected = block(of: whole, shape: shape, itemSize: dtype.itemSize, ranges)
                let source = try plan.prepared().makeSource()
                #expect(source.byteCount == expected.count && plan.byteCount == expected.count)
                #expect(readAll(source) == expected, "\(method) \(shape) [\(slice)]")
                #expect(
                    readAll(try plan.prepared().makeSource(), pieces: 7) == expected,
                    "\(method) \(shape) [\(slice)]"
                )
            }
        }
    }

    @Test("Skipped rows cost no more than a seek")
    func far() throws {
        // 2^40 elements: 4 TiB, of which two rows are read.
        let wanted = try Plan(
            TensorRequest(method: "normal", shape: try Shape([1 << 20, 1 << 20]), slice: try Slice("-2:,-16:")),
            seed: Seed(UInt64(3))
        )
        #expect(wanted.byteCount == 2 * 16 * 4)
        var limits = Limits()
        limits.maximumTensorBytes = 1 << 43
        let whole = try Plan(
            TensorRequest(method: "normal", shape: try Shape([1 << 20, 1 << 20])),
            seed: Seed(UInt64(3)),
            limits: limits
        ).prepared().makeSource()
        let rows = [1, 0].map { read(whole, at: whole.byteCount - $0 * 4 << 20 - 64, count: 64) }
        #expect(readAll(try wanted.prepared().makeSource()) == rows[0] + rows[1])
    }

    @Test("A read of a column ends after a bounded amount of work", arguments: ["uniform", "normal", "trunc_normal"])
    func column(_ method: Text) throws {
        let plan = try Plan(
            TensorRequest(method: method, shape: try Shape([1 << 20, 1 << 20]), slice: try Slice(":,7:8")),
            seed: Seed(UInt64(3))
        )
        let source = try plan.prepared().makeSource()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var position = 0
        for _ in 0..<3 {
            var storage = buffer.mutableSpan
            var bytes = storage.mutableBytes
            let count = source.read(at: position, into: &bytes)
            // Each element is a million words from the next, and skipping a word costs a quarter of making one.
            #expect(count > 0 && count <= 4 * 2 * 16, "\(count)")
            position += count
        }
    }

    @Test("The limit on bytes counts the slice; a tensor whose size overflows is refused even if the slice is small")
    func limits() throws {
        var limits = Limits()
        limits.maximumTensorBytes = 400
        func plan(_ dimensions: [Int], _ slice: Text?) throws -> Plan {
            try Plan(
                TensorRequest(method: "normal", shape: try Shape(dimensions), slice: try slice.map { try Slice($0) }),
                seed: Seed(UInt64(0)),
                limits: limits
            )
        }
        #expect(try plan([1 << 20, 100], "5:6").byteCount == 400)
        #expect(throws: InitError.self) { try plan([1 << 20, 100], "5:7") }
        #expect(throws: InitError.self) { try plan([1 << 20, 100], nil) }
        let error = #expect(throws: InitError.self) { try plan([1 << 31, 1 << 31], ":1,:1") }
        #expect(error?.kind == .tooLarge)
    }

    private func bytes(
        _ method: Text,
        _ shape: [Int],
        _ dtype: DType = .float32,
        _ arguments: [Text: ParameterValue] = [:],
        slice: Text? = nil
    ) throws -> [UInt8] {
        let request = TensorRequest(
            method: method,
            shape: try Shape(shape),
            dtype: dtype,
            arguments: Arguments(arguments),
            slice: try slice.map { try Slice($0) }
        )
        return readAll(try Plan(request, seed: Seed(UInt64(5))).prepared().makeSource())
    }
}

@Suite("A model's tensors are sliced by name")
struct ModelSliceTests {
    private func model(_ slices: [Text: Slice], ties: [Tie] = []) throws -> Plan {
        let layer = LayerRequest(
            type: "Linear",
            arguments: Arguments(["in_features": .integer(24), "out_features": .integer(40)])
        )
        let entries = [
            ModelEntry(name: "a", content: .layer(layer)), ModelEntry(name: "b", content: .layer(layer)),
        ]
        var request = ModelRequest(entries: entries)
        request.ties = ties
        request.slices = slices
        return try Plan(request, seed: Seed(UInt64(8)))
    }

    @Test("Tensors without a slice stay whole and have the same numbers")
    func others() throws {
        let whole = try model([:]).prepared()
        let sliced = try model(["a.weight": Slice("10:20"), "b.bias": Slice("-1:")]).prepared()
        #expect(sliced.plan.byteCount == whole.plan.byteCount - (30 * 24 + 39) * 4)
        #expect(readAll(sliced.makeSource(0)) == Array(readAll(whole.makeSource(0))[10 * 96..<20 * 96]))
        #expect(readAll(sliced.makeSource(1)) == readAll(whole.makeSource(1)))
        #expect(readAll(sliced.makeSource(2)) == readAll(whole.makeSource(2)))
        #expect(readAll(sliced.makeSource(3)) == readAll(whole.makeSource(3)).suffix(4))
    }

    @Test("A slice of an unknown or tied name is refused")
    func names() throws {
        let unknown = #expect(throws: InitError.self) { try model(["a.wight": Slice(":1")]) }
        #expect(unknown?.kind == .invalid)
        #expect(unknown?.path == ["slices", "a.wight"])
        #expect(unknown?.allowed.first == "a.weight")
        let tied = #expect(throws: InitError.self) {
            try model(["b.weight": Slice(":1")], ties: [Tie(name: "b.weight", target: "a.weight")])
        }
        #expect(tied?.path == ["slices", "b.weight"])
        let deep = #expect(throws: InitError.self) { try model(["a.bias": Slice(":,1:")]) }
        #expect(deep?.kind == .refused)
        #expect(deep?.path == ["slices", "a.bias"])
    }
}
