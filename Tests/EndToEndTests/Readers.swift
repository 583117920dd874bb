import SHA2
import Foundation
import Testing
import TestSupport

/// The types of a tensor's elements.
enum Element: String {
    case float32, float64, float16, bfloat16, int64

    var byteCount: Int {
        switch self {
        case .float64, .int64: 8
        case .float32: 4
        case .float16, .bfloat16: 2
        }
    }

    /// The names of the type in NumPy and in safetensors.
    var names: (npy: String?, safetensors: String) {
        switch self {
        case .float32: ("<f4", "F32")
        case .float64: ("<f8", "F64")
        case .float16: ("<f2", "F16")
        case .bfloat16: (nil, "BF16")
        case .int64: ("<i8", "I64")
        }
    }

    init?(safetensors name: String) {
        let all: [Element] = [.float32, .float64, .float16, .bfloat16, .int64]
        guard let element = all.first(where: { $0.names.safetensors == name }) else { return nil }
        self = element
    }

    /// The little-endian bytes of a decimal number rounded to the type, of `"inf"`, `"-inf"` or `"nan"`.
    func bytes(of text: Substring) throws -> [UInt8] {
        let text = Self.nonFinite[text] ?? text
        return switch self {
        case .float32: littleEndian(try #require(Float(text)).bitPattern)
        case .float64: littleEndian(try #require(Double(text)).bitPattern)
        case .float16: littleEndian(try #require(Float16(text)).bitPattern)
        case .bfloat16: littleEndian(Self.bfloat16(try #require(Float(text))))
        case .int64: littleEndian(try #require(Int64(text)))
        }
    }

    private static let nonFinite: [Substring: Substring] = ["\"inf\"": "inf", "\"-inf\"": "-inf", "\"nan\"": "nan"]

    /// The bfloat16 nearest to a value; of two equally near ones, the even one.
    private static func bfloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        guard !value.isNaN else { return UInt16(bits >> 16) | 0x40 }
        return UInt16((UInt64(bits) + 0x7fff + UInt64(bits >> 16 & 1)) >> 16)
    }

    /// The values of a tensor's bytes, for a comparison with a tolerance.
    func values(_ bytes: [UInt8]) -> [Double] {
        stride(from: 0, to: bytes.count, by: byteCount).map { start in
            let bits = bytes[start..<start + byteCount].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return switch self {
            case .float64: Double(bitPattern: bits)
            case .float32: Double(Float(bitPattern: UInt32(bits)))
            case .float16: Double(Float16(bitPattern: UInt16(bits)))
            case .bfloat16: Double(Float(bitPattern: UInt32(bits) << 16))
            case .int64: Double(Int64(bitPattern: bits))
            }
        }
    }
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

// MARK: npy

/// A NumPy file of version 1.0.
struct NumPyFile {
    var descr: String
    var shape: [Int]
    var body: [UInt8]

    init(_ file: [UInt8]) throws {
        try #require(Array(file.prefix(8)) == [0x93] + Array("NUMPY".utf8) + [1, 0])
        let length = Int(file[8]) | Int(file[9]) << 8
        // The elements are aligned, and the header ends in a line feed.
        try #require((10 + length) % 64 == 0 && file.count >= 10 + length)
        let header = String(decoding: file[10..<10 + length], as: UTF8.self)
        let form = /\{'descr': '(?<descr>[^']*)', 'fortran_order': False, 'shape': \((?<shape>[^)]*)\), \} *\n/
        let match = try #require(try form.wholeMatch(in: header), "\(header)")
        descr = String(match.descr)
        let sizes = match.shape.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        shape = try sizes.map { try unwrap(Int($0)) }
        // A tuple of one keeps its comma.
        try #require(shape.count != 1 || match.shape.hasSuffix(","))
        body = Array(file[(10 + length)...])
    }
}

// MARK: safetensors

/// The header of a safetensors file.
struct SafetensorsHeader {
    struct Tensor: Equatable {
        var name: String
        var element: Element
        var shape: [Int]
        /// Counted from the end of the header.
        var range: Range<Int>
    }

    /// Bytes up to the first element.
    let byteCount: Int
    /// The tensors in the order of their bytes.
    let tensors: [Tensor]
    let metadata: [String: String]

    /// - Parameter file: The file's beginning.
    /// - Returns: `nil` if the header is not complete yet.
    init?(_ file: [UInt8]) throws {
        guard file.count >= 8 else { return nil }
        let length = file[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        try #require(length <= 100_000_000 && length % 8 == 0)
        byteCount = 8 + Int(length)
        guard file.count >= byteCount else { return nil }
        let json = try JSONSerialization.jsonObject(with: Data(file[8..<byteCount]))
        var members = try #require(json as? [String: Any])
        metadata = try members.removeValue(forKey: "__metadata__").map { try #require($0 as? [String: String]) } ?? [:]
        tensors = try members.map { name, value in
            let entry = try #require(value as? [String: Any])
            let offsets = try #require(entry["data_offsets"] as? [Int])
            try #require(offsets.count == 2 && offsets[0] >= 0 && offsets[0] <= offsets[1])
            return Tensor(
                name: name,
                element: try #require(Element(safetensors: unwrap(entry["dtype"] as? String))),
                shape: try #require(entry["shape"] as? [Int]),
                range: offsets[0]..<offsets[1]
            )
        }.sorted { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var end = 0
        for tensor in tensors {
            // Tensors have no gaps between them, the length of their shape, and the alignment of their elements.
            try #require(tensor.range.lowerBound == end, "\(tensor.name)")
            try #require(tensor.range.count == tensor.shape.reduce(1, *) * tensor.element.byteCount, "\(tensor.name)")
            try #require(end % tensor.element.byteCount == 0, "\(tensor.name)")
            end = tensor.range.upperBound
        }
    }

    /// Bytes of the whole file.
    var fileByteCount: Int { byteCount + (tensors.last?.range.upperBound ?? 0) }
}

/// Reads a safetensors file piece by piece, and keeps only its header and digests.
struct SafetensorsDigester {
    private(set) var header: SafetensorsHeader?
    /// SHA-256 of each tensor, by its name.
    private(set) var digests: [String: String] = [:]
    private(set) var byteCount = 0
    private var beginning: [UInt8] = []
    private var index = 0
    private var left = 0
    private var hash = SHA256()

    mutating func consume(_ bytes: ArraySlice<UInt8>) throws {
        byteCount += bytes.count
        guard header == nil else { return try digest(bytes) }
        beginning += bytes
        guard let header = try SafetensorsHeader(beginning) else { return }
        self.header = header
        left = header.tensors.first?.range.count ?? 0
        try digest(beginning[header.byteCount...])
        beginning = []
    }

    private mutating func digest(_ bytes: ArraySlice<UInt8>) throws {
        let tensors = try #require(header).tensors
        var bytes = bytes
        while index < tensors.count {
            let piece = bytes.prefix(left)
            bytes = bytes.dropFirst(piece.count)
            piece.withUnsafeBytes { hash.update(bufferPointer: $0) }
            left -= piece.count
            guard left == 0 else { return }
            digests[tensors[index].name] = hash.finalize().description
            hash = SHA256()
            index += 1
            left = index < tensors.count ? tensors[index].range.count : 0
        }
        try #require(bytes.isEmpty, "bytes after the last tensor")
    }
}

// MARK: JSON

/// Reads the numbers of a JSON reply from its text, because a JSON parser would already have rounded them once.
struct NestedNumbers {
    /// Bytes of the elements, row by row.
    private(set) var bytes: [UInt8] = []
    private let text: Substring.UTF8View
    private var position: Substring.UTF8View.Index

    /// - Parameter text: Arrays nested as the shape says, without white space.
    init(_ text: Substring, shape: [Int], element: Element) throws {
        self.text = text.utf8
        position = text.utf8.startIndex
        try read(shape[...], element)
        try #require(position == self.text.endIndex, "more than the shape has")
    }

    private mutating func read(_ shape: ArraySlice<Int>, _ element: Element) throws {
        guard let size = shape.first else {
            let end =
                text[position...].firstIndex { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "]") } ?? text.endIndex
            let number = Substring(text[position..<end])
            // A fraction, an exponent or quotes, so that no reader takes the number for an integer.
            try #require(element == .int64 || number.contains { ".e\"".contains($0) }, "\(number)")
            bytes += try element.bytes(of: number)
            position = end
            return
        }
        try expect("[")
        for index in 0..<size {
            if index > 0 { try expect(",") }
            try read(shape.dropFirst(), element)
        }
        try expect("]")
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        try #require(position < text.endIndex && text[position] == UInt8(ascii: character))
        position = text.index(after: position)
    }
}
