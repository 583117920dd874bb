package import ByteText
internal import SHA2
import WeightInit

/// A file of a model that is served unchanged.
package struct ModelFile: Sendable {
    package let name: Text
    package let byteCount: Int
    /// SHA-256 of the bytes, in hexadecimal digits.
    package let sha256: Text
    /// Estimate of the work that unpacking the file takes for each reply; zero for a file in memory.
    let work: WorkEstimate
    /// Bytes of memory that a reply with the file holds, which a file in memory shares with all replies.
    let memory: Int
    private let read: @Sendable () throws(InitError) -> [UInt8]

    /// A file in memory.
    package init(name: Text, bytes: [UInt8]) {
        self.name = name
        byteCount = bytes.count
        sha256 = Text(SHA256.hash(data: bytes).description)
        work = WorkEstimate()
        memory = 0
        read = { bytes }
    }

    /// A packed file.
    ///
    /// - Parameter unpack: Makes the bytes; called each time that they are asked for.
    init(
        name: Text,
        byteCount: Int,
        packedByteCount: Int,
        sha256: Text,
        unpack: @escaping @Sendable () throws(InitError) -> [UInt8]
    ) {
        self.name = name
        self.byteCount = byteCount
        self.sha256 = sha256
        work = WorkEstimate(
            duration: Self.durationOfByte * byteCount,
            memory: byteCount.addingClamped(packedByteCount)
        )
        memory = byteCount
        read = unpack
    }

    /// Measured with text that hardly compresses, which takes longest.
    private static let durationOfByte = Duration.nanoseconds(10)

    /// The bytes of the file.
    ///
    /// - Throws: `failed` if they cannot be unpacked.
    func bytes() throws(InitError) -> [UInt8] {
        try read()
    }

    /// The identity of the bytes.
    var identity: Identity { Identity(sha256: sha256) }

    /// The media type that the extension of the name stands for.
    var mediaType: String {
        let types: [(suffix: Text, type: String)] = [
            (".json", Answer.json), (".md", "text/markdown; charset=utf-8"), (".txt", "text/plain; charset=utf-8"),
        ]
        return types.first { name.hasSuffix($0.suffix) }?.type ?? "application/octet-stream"
    }
}
