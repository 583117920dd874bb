internal import CEmbeddedFiles

/// A file that is embedded in the program.
///
/// Sendable because its bytes never move and never change.
package struct EmbeddedFile: @unchecked Sendable {
    /// The page at `/`.
    package static let page = EmbeddedFile(c_embedded_page())
    package static let readme = EmbeddedFile(c_embedded_readme())
    /// `docs/problems.md`.
    package static let problems = EmbeddedFile(c_embedded_problems())
    package static let openAPIinJSON = EmbeddedFile(c_embedded_openapi_json())
    package static let openAPIinYAML = EmbeddedFile(c_embedded_openapi_yaml())
    /// The built-in models, as `make models` writes them.
    package static let models = EmbeddedFile(c_embedded_models())
    /// Digests of PyTorch's results for many requests.
    package static let vectors = EmbeddedFile(c_embedded_vectors())
    /// Digests of this program's results for orthogonal requests.
    package static let orthogonalVectors = EmbeddedFile(c_embedded_orthogonal_vectors())

    // Unsafe because C gives a pointer and a length.
    private let memory: UnsafeRawBufferPointer

    private init(_ file: c_embedded_file) {
        memory = UnsafeRawBufferPointer(start: file.bytes, count: file.count)
    }

    /// A copy of the whole file.
    package var bytes: [UInt8] { Array(memory) }

    /// A copy of a part; `nil` if the part is not within the file.
    package func bytes(_ count: Int, at position: Int) -> [UInt8]? {
        guard (0...memory.count).contains(position), (0...memory.count - position).contains(count) else { return nil }
        return Array(memory[position..<position + count])
    }
}
