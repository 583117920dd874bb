import ByteSource
import ByteText
import Foundation
import TensorFormats
import Testing
import TorchRandom
import WeightInit

struct JSONTensorStreamTests {
    struct Vector: Decodable {
        var shape: [Int]
        var json: String
    }

    private func source(count: Int, _ dtype: DType, readSizes: [Int] = []) throws -> StubSource {
        let format = try #require(dtype.floatFormat)
        return StubSource(
            dtype.bytes(ofBits: (0..<count).map { format.bits(Double($0) * 0.25 - 2) }),
            readSizes: readSizes
        )
    }

    /// The numbers are a quarter apart, so that every type represents all of them exactly.
    @Test(
        "Lists are nested as NumPy nests them, for any buffer and any size of the source's reads",
        arguments: DType.requestable,
        [64, 65, 100, 1 << 16]
    )
    func listsNestAsNumPyDoWhatever(dtype: DType, room: Int) throws {
        for vector in try vectors("nested", as: [Vector].self) {
            let shape = try Shape(vector.shape)
            for readSizes in [[], [1], [3, 17]] {
                let stream = JSONTensorStream(
                    prefix: Array(#"{"data":"#.utf8),
                    source: try source(count: shape.elementCount, dtype, readSizes: readSizes),
                    shape: shape,
                    dtype: dtype
                )
                #expect(String(decoding: stream.readAll(room: room), as: UTF8.self) == #"{"data":"# + vector.json)
                #expect(stream.read(upTo: room) == nil)
            }
        }
    }

    @Test("The text parses to the same bits", arguments: DType.requestable)
    func theTextParsesToTheBits(dtype: DType) throws {
        let format = try #require(dtype.floatFormat)
        var generator = SystemRandomNumberGenerator()
        let bits = (0..<3000).map { _ in format.bits(Double.random(in: -1...1, using: &generator)) }
        let stream = try JSONTensorStream(
            prefix: [],
            source: StubSource(dtype.bytes(ofBits: bits)),
            shape: Shape([30, 4, 25]),
            dtype: dtype
        )
        let lists = try JSONDecoder().decode([[[Double]]].self, from: Data(stream.readAll(room: 777)))
        #expect(lists.map(\.count) == Array(repeating: 4, count: 30))
        #expect(lists.joined().map(\.count) == Array(repeating: 25, count: 120))
        let isEqual = lists.joined().joined().map(format.bits) == bits
        #expect(isEqual)
    }

    @Test("The longest numbers fit the smallest room")
    func theLongestNumbersFitTheSmallest() throws {
        let bits = Array(repeating: (-2.2250738585072014e-308).bitPattern, count: 100)
        let stream = try JSONTensorStream(
            prefix: [],
            source: StubSource(DType.float64.bytes(ofBits: bits)),
            shape: Shape([100]),
            dtype: .float64
        )
        let expected = "[" + Array(repeating: "-2.2250738585072014e-308", count: 100).joined(separator: ",") + "]"
        #expect(String(decoding: stream.readAll(room: 64), as: UTF8.self) == expected)
    }

    @Test("A read takes only as many bytes from the source as fit its buffer")
    func aReadTakesNoMoreFrom() throws {
        let source = ZeroSource(byteCount: 1 << 40)
        let stream = try JSONTensorStream(
            prefix: [],
            source: source,
            shape: Shape([1 << 38]),
            dtype: .float32
        )
        #expect((stream.read(upTo: 1 << 16) ?? []).count > 60_000)
        #expect(source.highestRead <= 1 << 17)
    }

    @Test("A read of endless empty lists ends")
    func aReadOfEndlessEmptyLists() throws {
        let stream = try JSONTensorStream(
            prefix: [],
            source: StubSource([]),
            shape: Shape([1_000_000_000, 0]),
            dtype: .float32
        )
        #expect(String(decoding: stream.read(upTo: 64) ?? [], as: UTF8.self).hasPrefix("[[],[],[],[]"))
    }

    @Test("A read asks a source that gives few bytes only a few times")
    func aSourceThatWorksLongFor() throws {
        let bytes = [UInt8](repeating: 0, count: 4096)
        let slow = StubSource(bytes, readSizes: [4])
        let stream = try JSONTensorStream(prefix: [], source: slow, shape: Shape([1024]), dtype: .float32)
        _ = stream.read(upTo: 1 << 16)
        #expect(slow.readCount <= 4)
    }

    @Test("If a source has no bytes yet, the stream has none, and continues later")
    func whereASourceHasNothingYet() throws {
        let late = StubSource([UInt8](repeating: 0, count: 16), readSizes: [0, 0, 3])
        let stream = try JSONTensorStream(prefix: [], source: late, shape: Shape([4]), dtype: .float32)
        #expect(stream.read(upTo: 64) == [UInt8(ascii: "[")])
        #expect(stream.read(upTo: 64) == [])
        #expect(stream.readAll(room: 64) == Array("0.0,0.0,0.0,0.0]".utf8))
    }

    @Test("A source that ends early ends the list")
    func aSourceThatEndsEarlyEnds() throws {
        let short = StubSource([0, 0, 0, 0, 0])
        let stream = try JSONTensorStream(prefix: [], source: short, shape: Shape([9]), dtype: .float32)
        #expect(stream.readAll(room: 64) == Array("[0.0,".utf8))
    }
}

struct ChainedStreamTests {
    @Test("Chained streams follow one another, and each is made at its turn", arguments: [64, 1000, 1 << 16])
    func streamsFollowOneAnotherEachMade(room: Int) {
        var made: [Int] = []
        let pieces = (0..<100).map { index in [UInt8](repeating: UInt8(index), count: index % 7 * 50) }
        let stream = ChainedStream(count: pieces.count) { index in
            made.append(index)
            return BytesStream(pieces[index])
        }
        #expect(made.isEmpty)
        #expect(stream.readAll(room: room) == pieces.flatMap { $0 })
        #expect(made == Array(0..<100))
    }

    @Test("A model's tensors stream as one document")
    func aModelTensorsStreamAsOne() throws {
        let stream = ChainedStream(count: 4) { index in
            guard index > 0 else { return BytesStream(Array(#"{"tensors":["#.utf8)) }
            guard index < 3, let shape = try? Shape([2, index]) else { return BytesStream(Array("}]}".utf8)) }
            return JSONTensorStream(
                prefix: Array(((index > 1 ? "}," : "") + #"{"data":"#).utf8),
                source: ZeroSource(byteCount: 8 * index),
                shape: shape,
                dtype: .float32
            )
        }
        let text = String(decoding: stream.readAll(room: 64), as: UTF8.self)
        #expect(text == #"{"tensors":[{"data":[[0.0],[0.0]]},{"data":[[0.0,0.0],[0.0,0.0]]}]}"#)
    }

    @Test("A read begins a bounded number of streams")
    func aReadBeginsABoundedNumber() {
        var made = 0
        let stream = ChainedStream(count: 1000) { _ in
            made += 1
            return BytesStream([1])
        }
        _ = stream.read(upTo: 1 << 16)
        #expect(made < 100)
    }

    @Test(
        "Short streams are collected whole, longer ones not at all",
        arguments: [
            (0, 0, true), (100, 100, true), (101, 100, false), (20_000, 20_000, true), (20_001, 20_000, false),
        ]
    )
    func shortStreamsAreCollectedWholeLonger(count: Int, limit: Int, isWhole: Bool) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        #expect(BytesStream(bytes).collected(limit: limit) == (isWhole ? bytes : nil))
    }
}
