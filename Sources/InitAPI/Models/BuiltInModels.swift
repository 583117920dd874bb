internal import ByteText
import WeightInit

/// The models that are always there, from the file that `make models` writes.
///
/// The file is the length of a list (4 bytes, little-endian), the list in JSON, and zlib streams. Only what is asked for is
/// unpacked.
enum BuiltInModels {
    static let all: [Text: CatalogueModel] = Dictionary(
        (list(in: PackageResources.models_bin) ?? []).map { ($0.name, $0) }
    ) { first, _ in first }

    /// - Returns: `nil` if the file is broken, which no released program has.
    private static func list(in file: [UInt8]) -> [CatalogueModel]? {
        let length = file.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        guard file.count >= 4, length <= file.count - 4,
            case .array(let entries)? = try? JSONValue(ownText: Array(file[4..<4 + length]))
        else { return nil }
        return entries.compactMap { model($0, in: file, from: 4 + length) }
    }

    private static func model(_ entry: JSONValue, in file: [UInt8], from start: Int) -> CatalogueModel? {
        guard let name = entry["name"]?.text, let description = entry["description"]?.text,
            let tensors = entry["tensors"]?.integer, let parameters = entry["parameters"]?.integer,
            let bytes = entry["bytes"]?.integer, case .array(let parts)? = entry["files"]
        else { return nil }
        let files = parts.compactMap { Self.file($0, in: file, from: start) }
        guard let request = files.first(where: { $0.name == CatalogueModel.requestFile }) else { return nil }
        return CatalogueModel(
            name: name,
            description: description,
            seed: Seed(UInt64(0)),
            tensorCount: tensors,
            parameterCount: parameters,
            byteCount: bytes,
            files: files,
            request: request
        )
    }

    private static func file(_ entry: JSONValue, in file: [UInt8], from start: Int) -> ModelFile? {
        guard let name = entry["name"]?.text, let sha256 = entry["sha256"]?.text,
            let byteCount = entry["bytes"]?.integer, let place = entry["at"]?.integer,
            let packed = entry["packed"]?.integer, place >= 0, packed >= 0, start + place <= file.count - packed
        else { return nil }
        return ModelFile(name: name, byteCount: byteCount, sha256: sha256) { () throws(InitError) in
            try Inflater.inflate(zlib: Array(file[start + place..<start + place + packed]), byteCount: byteCount)
        }
    }
}
