public import ByteText
public import ByteSource
internal import WeightInit

/// The layout of a safetensors file, computed once, before any number is generated.
///
/// A file is the length of the header (8 bytes, little-endian), the header (a JSON object, padded with spaces to a
/// multiple of 8 bytes), and the tensors' elements without gaps. The header has one member for each tensor,
/// `"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}`, whose offsets count bytes from the end of the header;
/// `__metadata__`, if there is any, comes first: an object of strings with sorted keys.
///
/// Tensors are sorted by descending item size; tensors with the same item size keep the order in which they were
/// declared. The header names them in the same order as their elements lie. So every element is aligned to its own
/// size, and the bytes depend on nothing but the declaration. The reference library also sorts by type, but by name
/// within a type.
///
/// Source: `safetensors/src/tensor.rs`.
public struct SafetensorsLayout: Sendable {
    /// Length field, JSON and padding.
    public let header: [UInt8]
    /// Indices of the declared tensors in the order in which their elements lie.
    public let order: [Int]
    /// Bytes of the whole file.
    public let byteCount: Int

    /// Bytes of the elements of each tensor, in the declared order.
    private let byteCounts: [Int]

    /// The longest header, in bytes, that the reference library reads.
    public static let maximumHeaderByteCount = 100_000_000

    private static let metadataName: Text = "__metadata__"

    /// Computes the layout of tensors.
    ///
    /// - Throws: `duplicateName`, `reservedName` for `__metadata__`, `tooLarge` if the header is over 100 MB or the
    ///   file over 2^63 − 1 bytes.
    public init(_ tensors: [TensorDescription], metadata: [Text: Text] = [:]) throws(FormatError) {
        var names: Set<Text> = []
        for tensor in tensors {
            try Self.check(name: tensor.name)
            guard names.insert(tensor.name).inserted else { throw .duplicateName(tensor.name) }
        }
        order = tensors.indices.sorted {
            let (left, right) = (tensors[$0].dtype.itemSize, tensors[$1].dtype.itemSize)
            return left == right ? $0 < $1 : left > right
        }
        var writer = JSONWriter()
        writer.beginObject()
        if !metadata.isEmpty {
            writer.key(Self.metadataName)
            writer.beginObject()
            for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                writer.member(key, value)
            }
            writer.endObject()
        }
        var end = 0
        for index in order {
            let tensor = tensors[index]
            let start = end
            let overflow: Bool
            (end, overflow) = start.addingReportingOverflow(tensor.byteCount)
            guard !overflow else { throw .tooLarge("the tensors are over 2^63 − 1 bytes together") }
            writer.key(tensor.name)
            writer.beginObject()
            writer.member("dtype", tensor.dtype.names.safetensors)
            writer.member("shape", tensor.shape)
            writer.member("data_offsets", [start, end])
            writer.endObject()
            // Checked here as well, so that an endless list of tensors does not grow the buffer further.
            guard writer.bytes.count <= Self.maximumHeaderByteCount else { throw Self.headerTooLarge }
        }
        writer.endObject()
        var json = writer.bytes
        json.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - json.count % 8) % 8))
        guard json.count <= Self.maximumHeaderByteCount else { throw Self.headerTooLarge }
        header = (0..<8).map { UInt8(truncatingIfNeeded: json.count >> ($0 * 8)) } + json
        let (total, overflow) = end.addingReportingOverflow(header.count)
        guard !overflow else { throw .tooLarge("the tensors and the header are over 2^63 − 1 bytes together") }
        byteCount = total
        byteCounts = tensors.map(\.byteCount)
    }

    /// - Throws: `reservedName` for `__metadata__`.
    public static func check(name: Text) throws(FormatError) {
        guard name != metadataName else { throw .reservedName(name) }
    }

    private static let headerTooLarge = FormatError.tooLarge(
        "the safetensors header is over \(maximumHeaderByteCount) bytes"
    )

    /// The whole file.
    ///
    /// - Parameter elements: Makes the source of a tensor's elements, given the tensor's declared index. It is called
    ///   when reading reaches the tensor, and again when reading returns to it from another tensor.
    public func file(elements: @escaping (Int) -> any ByteSource) throws(FormatError) -> ConcatenatedSource {
        let tensors = order.map { index in
            ConcatenatedSource.Part(byteCount: byteCounts[index]) { elements(index) }
        }
        return try ConcatenatedSource([.bytes(header)] + tensors)
    }
}
