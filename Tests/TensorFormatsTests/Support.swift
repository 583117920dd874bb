import ByteSource
import ByteText
import Foundation
import TensorFormats
import Testing
import WeightInit

/// A source whose reads change their size from call to call.
final class StubSource: ByteSource {
    let bytes: [UInt8]
    /// Maximum sizes of consecutive reads, used in turn; empty for no limit.
    let readSizes: [Int]
    private(set) var readCount = 0

    init(_ bytes: [UInt8], readSizes: [Int] = []) {
        self.bytes = bytes
        self.readSizes = readSizes
    }

    var byteCount: Int { bytes.count }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let most = readSizes.isEmpty ? Int.max : readSizes[readCount % readSizes.count]
        readCount += 1
        let count = min(destination.byteCount, bytes.count - position, most)
        for index in 0..<count {
            destination.storeBytes(of: bytes[position + index], toByteOffset: index, as: UInt8.self)
        }
        return count
    }
}

/// A source of zeros that needs no memory.
final class ZeroSource: ByteSource {
    let byteCount: Int
    private(set) var highestRead = 0

    init(byteCount: Int) {
        self.byteCount = byteCount
    }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let count = min(destination.byteCount, byteCount - position)
        for index in 0..<count {
            destination.storeBytes(of: 0, toByteOffset: index, as: UInt8.self)
        }
        highestRead = max(highestRead, position + count)
        return count
    }
}

extension ByteSource {
    /// One read.
    func read(at position: Int, upTo count: Int) -> [UInt8] {
        var buffer = [UInt8](repeating: 0xaa, count: count)
        var room = buffer.mutableSpan
        var bytes = room.mutableBytes
        let read = self.read(at: position, into: &bytes)
        return Array(buffer[..<read])
    }

    /// Reads to the end.
    func readAll(from start: Int = 0, room: Int = 1 << 16) -> [UInt8] {
        var bytes: [UInt8] = []
        while start + bytes.count < byteCount { bytes += read(at: start + bytes.count, upTo: room) }
        return bytes
    }
}

extension ByteStream {
    /// One read; `nil` at the end.
    func read(upTo count: Int) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0xaa, count: count)
        var room = buffer.mutableSpan
        var bytes = room.mutableBytes
        return read(into: &bytes).map { Array(buffer[..<$0]) }
    }

    func readAll(room: Int = 1 << 16) -> [UInt8] {
        var bytes: [UInt8] = []
        while let next = read(upTo: room) { bytes += next }
        return bytes
    }
}

extension FixedWidthInteger {
    var littleEndianBytes: [UInt8] {
        (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> ($0 * 8)) }
    }
}

extension DType {
    /// Little-endian bytes of elements with these bits.
    func bytes(ofBits bits: some Sequence<UInt64>) -> [UInt8] {
        bits.flatMap { $0.littleEndianBytes.prefix(itemSize) }
    }
}

/// A file of reference values, made by `make_format_vectors.py`.
func vectors<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
    let url = try #require(Bundle.module.url(forResource: "Vectors/\(name)", withExtension: "json"))
    return try JSONDecoder().decode(Value.self, from: Data(contentsOf: url))
}

extension String {
    var base64Bytes: [UInt8] { Data(base64Encoded: self).map(Array.init) ?? [] }
}

func texts(_ strings: [String: String]) -> [Text: Text] {
    Dictionary(uniqueKeysWithValues: strings.map { (Text($0), Text($1)) })
}

func described(_ dtype: String, _ shape: [Int], name: Text = "") throws -> TensorDescription {
    try TensorDescription(name: name, shape: Shape(shape), dtype: #require(DType(rawValue: dtype)))
}
