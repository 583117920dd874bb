import CLinearAlgebra
import Foundation

/// A matrix, and a digest of its factor. The digest was made by this project, not by PyTorch: it proves that all
/// kernels give the same bits.
struct FactorVector: CustomStringConvertible, Sendable {
    let rows: Int
    let columns: Int
    let isDouble: Bool
    /// FNV-1a of the elements' bytes, in hexadecimal.
    let expected: String

    var description: String { "\(rows) × \(columns), \(isDouble ? "float64" : "float32")" }

    /// The lines that `factor_digests.c` writes.
    static func all() throws -> [FactorVector] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "factors.txt")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 4, let rows = Int(words[1]), let columns = Int(words[2]) else { return nil }
            return FactorVector(
                rows: rows,
                columns: columns,
                isDouble: words[3] == "float64",
                expected: String(words[0])
            )
        }
    }

    func digest(_ kernels: String) -> String {
        isDouble
            ? FactorVector.digest(Matrix<Double>(rows, columns).factored(kernels: kernels).elements)
            : FactorVector.digest(Matrix<Float>(rows, columns).factored(kernels: kernels).elements)
    }

    private static func digest<Element>(_ elements: [Element]) -> String {
        let digest = elements.withUnsafeBytes { bytes in
            bytes.reduce(14_695_981_039_346_656_037 as UInt64) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        }
        let text = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
