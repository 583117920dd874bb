import ByteText
import Foundation
import TensorFormats
import Testing
import WeightInit

struct SafetensorsLayoutTests {
    struct Vector: Decodable {
        struct Tensor: Decodable {
            var name: String
            var dtype: String
            var shape: [Int]
            var data: String
        }
        var tensors: [Tensor]
        var metadata: [String: String]
        var file: String

        var textMetadata: [Text: Text] {
            Dictionary(uniqueKeysWithValues: metadata.map { (Text($0.key), Text($0.value)) })
        }
    }

    @Test("Files have the reference library's bytes if it orders the tensors alike")
    func filesAreTheReferenceLibraryIf() throws {
        let files: [Vector] = try vectors("safetensors")
        #expect(files.count == 13)
        for vector in files {
            let tensors = try vector.tensors.map { try described($0.dtype, $0.shape, name: Text($0.name)) }
            let layout = try SafetensorsLayout(tensors, metadata: vector.textMetadata)
            let file = try layout.file { StubSource(vector.tensors[$0].data.base64Bytes, readSizes: [3, 1]) }
            #expect(file.readAll() == vector.file.base64Bytes)
            #expect(layout.byteCount == vector.file.base64Bytes.count)
            #expect(layout.order == Array(tensors.indices))
        }
    }

    @Test("Data are ordered by item size, then as declared, and every element is aligned")
    func dataAreOrderedByItemSize() throws {
        let types: [DType] = [.float16, .float32, .int64, .bfloat16, .float64, .float32]
        let tensors = try types.enumerated().map { index, dtype in
            try TensorDescription(name: "\(9 - index)", shape: Shape([index + 1]), dtype: dtype)
        }
        let layout = try SafetensorsLayout(tensors, metadata: ["k": "v"])
        #expect(layout.order == [2, 4, 1, 5, 0, 3])
        let file = try layout.file { index in
            StubSource(Array(repeating: UInt8(index), count: tensors[index].byteCount))
        }
        let read = try #require(SafetensorsFile(file.readAll()))
        for (index, tensor) in tensors.enumerated() {
            let entry = try #require(read.entries[tensor.name.description])
            #expect(entry.shape == tensor.shape.dimensions)
            #expect(entry.dtype == tensor.dtype.names.safetensors)
            #expect(entry.data == Array(repeating: UInt8(index), count: tensor.byteCount))
            #expect((entry.start + layout.header.count) % tensor.dtype.itemSize == 0)
        }
        #expect(read.metadata == ["k": "v"])
        #expect(layout.header.count % 8 == 0)
    }

    @Test("Names that only look alike are different names")
    func namesThatOnlyLookAlikeAre() throws {
        let tensors = try (["\u{e9}", "e\u{301}"] as [Text]).map { try described("float32", [2], name: $0) }
        let header = try SafetensorsLayout(tensors).header
        #expect(Data(header).range(of: Data("\"\u{e9}\"".utf8)) != nil)
        #expect(Data(header).range(of: Data("\"e\u{301}\"".utf8)) != nil)
    }

    @Test("A duplicate name is refused in safetensors")
    func aNameGivenTwiceIsRefused() throws {
        let tensors = try (["a", "b", "a"] as [Text]).map { try described("float32", [2], name: $0) }
        #expect(throws: FormatError.duplicateName("a")) { try SafetensorsLayout(tensors) }
    }

    @Test("A tensor cannot have the name of the metadata")
    func theNameOfTheMetadataIs() throws {
        let tensors = try [described("float32", [2], name: "__metadata__")]
        #expect(throws: FormatError.reservedName("__metadata__")) { try SafetensorsLayout(tensors) }
    }

    @Test("Metadata comes first, sorted by the bytes of its keys")
    func metadataComeFirstSortedByThe() throws {
        let metadata: [Text: Text] = [
            "b": "2", "a": "1", "\u{e9}": "3", "B": "4", "": "5", "\u{1f600}": "6", "\u{ff5e}": "7",
        ]
        let header = try SafetensorsLayout([described("float32", [], name: "w")], metadata: metadata).header
        let expected =
            #"{"__metadata__":{"":"5","B":"4","a":"1","b":"2","\#u{e9}":"3","\#u{ff5e}":"7","\#u{1f600}":"6"},"#
            + #""w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#
        #expect(String(decoding: header.dropFirst(8), as: UTF8.self).hasPrefix(expected))
    }

    #if !DEBUG
        // A hundred million characters take too long without optimisation.
        @Test("A header longer than the reference library reads is refused")
        func aHeaderLongerThanTheReference() throws {
            let limit = SafetensorsLayout.maximumHeaderByteCount
            let entry = #"{"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#.utf8.count
            let longest = try described("float32", [2], name: Text(String(repeating: "n", count: limit - entry)))
            #expect(try SafetensorsLayout([longest]).header.count == limit + 8)
            let longer = try described("float32", [2], name: Text(String(repeating: "n", count: limit - entry + 1)))
            #expect(throws: FormatError.self) { try SafetensorsLayout([longer]) }
        }
    #endif

    @Test("Sizes over 63 bits are refused")
    func sizesPast63BitsAreRefused() throws {
        #expect(throws: FormatError.self) { try described("float32", [1 << 61]) }
        let half = try described("float32", [1 << 60], name: "a")
        let other = try described("float32", [1 << 60], name: "b")
        #expect(throws: FormatError.self) { try SafetensorsLayout([half, other]) }
        // Only with its header is this file too long.
        let most = try described("float16", [Int.max / 2], name: "a")
        #expect(throws: FormatError.self) { try SafetensorsLayout([most]) }
    }
}

/// A reader of safetensors files that shares nothing with the writer.
private struct SafetensorsFile {
    struct Entry {
        var dtype: String
        var shape: [Int]
        var start: Int
        var data: [UInt8]
    }
    var entries: [String: Entry] = [:]
    var metadata: [String: String] = [:]

    init?(_ file: [UInt8]) {
        guard file.count >= 8 else { return nil }
        let length = file[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard file.count >= 8 + length,
            let header = try? JSONSerialization.jsonObject(with: Data(file[8..<8 + length])) as? [String: [String: Any]]
        else { return nil }
        for (name, entry) in header {
            if name == "__metadata__" {
                metadata = entry.compactMapValues { $0 as? String }
                continue
            }
            guard let dtype = entry["dtype"] as? String, let shape = entry["shape"] as? [Int],
                let offsets = entry["data_offsets"] as? [Int], offsets.count == 2,
                offsets[0] <= offsets[1], 8 + length + offsets[1] <= file.count
            else { return nil }
            let data = Array(file[(8 + length + offsets[0])..<(8 + length + offsets[1])])
            entries[name] = Entry(dtype: dtype, shape: shape, start: offsets[0], data: data)
        }
    }
}
