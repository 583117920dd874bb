internal import ByteText
internal import EmbeddedFiles
import WeightInit

/// The built-in models, from the file that `make models` writes.
///
/// The file is the length of a list (4 bytes, little-endian), the list in JSON, and zlib streams. A model's file is
/// unpacked only when it is asked for.
enum BuiltInModels {
    static let all: [Text: CatalogueModel] = Dictionary(
        (list ?? []).map { ($0.name, $0) }
    ) { first, _ in first }

    /// `nil` if the file is damaged, which does not happen in a released program.
    private static var list: [CatalogueModel]? {
        guard let length = EmbeddedFile.models.bytes(4, at: 0)?.reversed().reduce(0, { $0 << 8 | Int($1) }),
            let text = EmbeddedFile.models.bytes(length, at: 4),
            case .array(let entries)? = try? JSONValue(ownText: text)
        else { return nil }
        return entries.compactMap { model($0, from: 4 + length) }
    }

    private static func model(_ entry: JSONValue, from start: Int) -> CatalogueModel? {
        guard let name = entry["name"]?.text, let description = entry["description"]?.text,
            let tensors = entry["tensors"]?.integer, let parameters = entry["parameters"]?.integer,
            let bytes = entry["bytes"]?.integer, let literalText = entry["literal_text"]?.integer,
            let literalBytes = entry["literal_bytes"]?.integer, case .array(let parts)? = entry["files"]
        else { return nil }
        let files = parts.compactMap { Self.file($0, from: start) }
        guard let request = files.first(where: { $0.name == CatalogueModel.requestFile }) else { return nil }
        return CatalogueModel(
            name: name,
            description: description,
            seed: Seed(UInt64(0)),
            tensorCount: tensors,
            parameterCount: parameters,
            byteCount: bytes,
            literalText: literalText,
            literalBytes: literalBytes,
            files: files,
            request: request
        )
    }

    private static func file(_ entry: JSONValue, from start: Int) -> ModelFile? {
        guard let name = entry["name"]?.text, let sha256 = entry["sha256"]?.text,
            let byteCount = entry["bytes"]?.integer, let place = entry["at"]?.integer,
            let packed = entry["packed"]?.integer
        else { return nil }
        return ModelFile(name: name, byteCount: byteCount, packedByteCount: packed, sha256: sha256) {
            () throws(InitError) in
            guard let stream = EmbeddedFile.models.bytes(packed, at: start + place) else {
                throw InitError(.failed, [], "is cut off")
            }
            return try Inflater.inflate(zlib: stream, byteCount: byteCount)
        }
    }
}
