import ByteText
import TensorFormats
import Testing
import WeightInit

struct NumPyHeaderTests {
    struct Vectors: Decodable {
        struct Header: Decodable {
            var dtype: String
            var shape: [Int]
            var header: String
        }
        struct File: Decodable {
            var dtype: String
            var shape: [Int]
            var data: String
            var file: String
        }
        var headers: [Header]
        var files: [File]
    }

    @Test("Headers of npy have NumPy's bytes")
    func headersAreNumPy() throws {
        let headers = try vectors("npy", as: Vectors.self).headers
        #expect(headers.count == 48)
        for vector in headers {
            let dtype = try #require(DType(rawValue: vector.dtype))
            let header = try NumPyHeader.bytes(shape: Shape(vector.shape), dtype: dtype)
            #expect(header == vector.header.base64Bytes, "\(vector.dtype) \(vector.shape)")
        }
    }

    /// The whole file in the format npy.
    private func file(of tensor: TensorDescription, _ elements: [UInt8]) throws -> ConcatenatedSource {
        guard case .file(let header?) = TensorFormat.npy.encoder else { throw FormatError.tooLarge("no header") }
        let tensorBytes = ConcatenatedSource.Part(byteCount: tensor.byteCount) { StubSource(elements) }
        return try ConcatenatedSource([.bytes(header(tensor)), tensorBytes])
    }

    @Test("Files in npy have NumPy's bytes")
    func filesAreNumPy() throws {
        for vector in try vectors("npy", as: Vectors.self).files {
            let tensor = try described(vector.dtype, vector.shape)
            let file = try file(of: tensor, vector.data.base64Bytes)
            #expect(file.readAll() == vector.file.base64Bytes)
            #expect(file.byteCount == vector.file.base64Bytes.count)
        }
    }

    @Test(
        "Written npy files can be read back",
        arguments: [DType.float32, .float64, .float16, .int64],
        [[], [7], [0], [2, 3, 4], [1, 1]]
    )
    func writtenFilesReadBack(dtype: DType, dimensions: [Int]) throws {
        let shape = try Shape(dimensions)
        let data = (0..<shape.elementCount * dtype.itemSize).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let tensor = try TensorDescription(name: "", shape: shape, dtype: dtype)
        let file = try file(of: tensor, data).readAll()
        let read = try #require(NumPyFile(file))
        #expect(read.shape == dimensions)
        #expect(read.itemSize == dtype.itemSize)
        #expect(read.data == data)
        #expect((file.count - data.count) % 64 == 0)
    }

    @Test("A shape of the highest rank fits the header of npy")
    func aShapeOfTheHighestRank() throws {
        let shape = try Shape(Array(repeating: 0, count: 63) + [Int.max])
        #expect(try NumPyHeader.bytes(shape: shape, dtype: .float16).count % 64 == 0)
    }

    @Test("The format npy refuses bfloat16")
    func bfloat16IsRefused() throws {
        #expect(throws: FormatError.unrepresentable(.bfloat16, in: .npy)) {
            try NumPyHeader.bytes(shape: Shape([1]), dtype: .bfloat16)
        }
        #expect(TensorFormat.npy.objection(to: .bfloat16) == .unrepresentable(.bfloat16, in: .npy))
        #expect(TensorFormat.npy.objection(to: .float16) == nil)
        #expect(TensorFormat.raw.objection(to: .bfloat16) == nil)
    }
}

/// A reader of `.npy` files that shares nothing with the writer.
private struct NumPyFile {
    var shape: [Int]
    var itemSize: Int
    var data: [UInt8]

    init?(_ file: [UInt8]) {
        guard file.starts(with: [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]), file.count >= 10 else { return nil }
        let end = 10 + Int(file[8]) + Int(file[9]) << 8
        guard file.count >= end, file[end - 1] == 0x0a else { return nil }
        let header = String(decoding: file[10..<end], as: UTF8.self)
        let pattern = /\{'descr': '<[fi]([0-9])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n/
        guard let match = header.wholeMatch(of: pattern), let size = Int(match.1) else { return nil }
        itemSize = size
        shape = match.2.split(separator: ",").compactMap { Int($0.filter { $0 != " " }) }
        data = Array(file[end...])
    }
}
