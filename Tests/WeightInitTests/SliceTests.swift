import ByteSource
import Testing
import WeightInit

@Suite("A slice is NumPy's")
struct SliceTests {
    /// Slices with the ranges that `numpy.arange(n)[...]` gives, from the documentation of Python's slice objects.
    @Test(
        "ends count from the end, are cut off, and may be missing",
        arguments: [
            ("2:5", 10, 2..<5), (":", 10, 0..<10), ("3:", 10, 3..<10), (":4", 10, 0..<4), ("-3:", 10, 7..<10),
            (":-3", 10, 0..<7), ("-3:-1", 10, 7..<9), ("5:2", 10, 5..<5), ("-100:3", 10, 0..<3), ("8:100", 10, 8..<10),
            ("100:", 10, 10..<10), (":-100", 10, 0..<0), ("-0:", 10, 0..<10), (":-0", 10, 0..<0), (":", 0, 0..<0),
            (" 2 : 5 ", 10, 2..<5), ("99999999999999999999:", 3, 3..<3), ("-99999999999999999999:2", 3, 0..<2),
            (":99999999999999999999", 3, 0..<3), ("\(Int.min):\(Int.max)", 3, 0..<3),
        ]
    )
    func ends(_ text: String, _ size: Int, _ range: Range<Int>) throws {
        let whole = try bytes("normal", [size, 5])
        #expect(
            try bytes("normal", [size, 5], slice: text) == Array(whole[range.lowerBound * 20..<range.upperBound * 20])
        )
    }

    @Test(
        "equal slices are written alike",
        arguments: [
            ("0:512", ":512"), ("0:,:", ""), (":,:,3:,:", ":,:,3:"), ("", ""), (" ", ""), ("00:07", ":7"),
            ("-0:5", ":5"),
            ("1:-1,-2:", "1:-1,-2:"),
        ]
    )
    func notation(_ text: String, _ expected: String) throws {
        #expect(try Slice(text).description == expected)
    }

    @Test(
        "what is no list of ranges is refused with what is meant",
        arguments: [
            ("3", "3:4"), ("-1", "-1:"), ("1:2:3", "step"), ("::2", "step"), ("a:b", "not an integer"),
            ("1:2,", "an item is empty"), (",", "an item is empty"), ("1.5:2", "not an integer"),
            ("...", "not an integer"),
            ("+1:2", "not an integer"), ("1_0:", "not an integer"), ("--1:", "not an integer"),
            ("-:", "not an integer"),
            ("[0:1]", "not an integer"), ("1 2:", "not an integer"), ("9223372036854775807", "would take a dimension"),
            (String(repeating: ":,", count: 64) + ":", "65 items"), ("١:", "not an integer"),
        ]
    )
    func refusals(_ text: String, _ detail: String) throws {
        let error = #expect(throws: InitError.self) { try Slice(text) }
        #expect(error?.kind == .invalid)
        #expect(error?.detail.contains(detail) == true, "\(error?.detail ?? "")")
    }

    @Test("a slice of more dimensions than there are is refused")
    func rank() throws {
        let request = TensorRequest(method: "zeros", shape: try Shape([2, 3]), slice: try Slice("1:,1:,1:"))
        let error = #expect(throws: InitError.self) { try Plan(request, seed: Seed(UInt64(0))) }
        #expect(error?.kind == .refused)
        #expect(error?.path == ["slice"])
        #expect(try bytes("zeros", [], slice: "").count == 4)
    }

    @Test("any block of any method and type is that block of the whole", arguments: DType.requestable)
    func blocks(_ dtype: DType) throws {
        var generator = SplitMix(state: 11)
        let cases: [(String, [Int], [String: ParameterValue])] = [
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
                // Often whole, often one wide.
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
                    slice: try Slice(slice)
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

    @Test("rows before those wanted cost no more than a seek")
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

    @Test("a call on a column ends after a bounded amount of work", arguments: ["uniform", "normal", "trunc_normal"])
    func column(_ method: String) throws {
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
            // Each element is a million words from the next; passing over them is a quarter of making them.
            #expect(count > 0 && count <= 4 * 2 * 16, "\(count)")
            position += count
        }
    }

    @Test("the limit on bytes counts what is sent; what cannot be counted is refused all the same")
    func limits() throws {
        var limits = Limits()
        limits.maximumTensorBytes = 400
        func plan(_ dimensions: [Int], _ slice: String?) throws -> Plan {
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
        _ method: String,
        _ shape: [Int],
        _ dtype: DType = .float32,
        _ arguments: [String: ParameterValue] = [:],
        slice: String? = nil
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

    /// The block, element by element.
    private func block(of whole: [UInt8], shape: [Int], itemSize: Int, _ ranges: [Range<Int>]) -> [UInt8] {
        var result: [UInt8] = []
        for element in 0..<shape.reduce(1, *) {
            var rest = element
            var isInside = true
            for (size, range) in zip(shape, ranges).reversed() {
                isInside = isInside && range.contains(rest % size)
                rest /= size
            }
            if isInside { result += whole[element * itemSize..<(element + 1) * itemSize] }
        }
        return result
    }
}

@Suite("A model's tensors are sliced by name")
struct ModelSliceTests {
    private func model(_ slices: [String: Slice], ties: [Tie] = []) throws -> Plan {
        let layer = LayerRequest(
            type: "Linear",
            arguments: Arguments(["in_features": .integer(24), "out_features": .integer(40)])
        )
        let entries = [
            ModelEntry(name: "a", content: .layer(layer)), ModelEntry(name: "b", content: .layer(layer)),
        ]
        return try Plan(ModelRequest(entries: entries, ties: ties, slices: slices), seed: Seed(UInt64(8)))
    }

    @Test("others stay whole, and the same numbers are drawn")
    func others() throws {
        let whole = try model([:]).prepared()
        let sliced = try model(["a.weight": Slice("10:20"), "b.bias": Slice("-1:")]).prepared()
        #expect(sliced.plan.byteCount == whole.plan.byteCount - (30 * 24 + 39) * 4)
        #expect(readAll(sliced.makeSource(0)) == Array(readAll(whole.makeSource(0))[10 * 96..<20 * 96]))
        #expect(readAll(sliced.makeSource(1)) == readAll(whole.makeSource(1)))
        #expect(readAll(sliced.makeSource(2)) == readAll(whole.makeSource(2)))
        #expect(readAll(sliced.makeSource(3)) == readAll(whole.makeSource(3)).suffix(4))
    }

    @Test("a name that is none, or another's, is refused")
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
