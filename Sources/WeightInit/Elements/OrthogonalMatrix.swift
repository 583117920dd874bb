internal import ByteText
internal import TorchRandom

/// The matrix that `orthogonal_` makes: the orthogonal factor of a matrix of normals, with the signs that make it
/// uniform over orthogonal matrices (Mezzadri 2007), times the gain.
///
/// The elements differ from PyTorch's only by the rounding errors of the two QR decompositions.
enum OrthogonalMatrix {
    /// Number of elements drawn between two checks of `isCancelled`.
    private static let drawnAtOnce = 1 << 17

    /// Bytes of memory for the matrix and its decomposition.
    static func memory(rows: Int, columns: Int, format: FloatFormat) -> Int {
        rows * columns * format.itemSize
            + LinearAlgebra.workspaceBytes(rows: rows, columns: columns, format: format)
    }

    /// - Parameter normals: `rows` × `columns` elements of `format`, row by row; not empty.
    /// - Returns: The matrix, row by row; `nil` once `isCancelled` has turned true.
    /// - Throws: `outOfMemory`.
    static func make(
        rows: Int,
        columns: Int,
        gain: Double,
        format: FloatFormat,
        normals: any ElementSource,
        isCancelled: () -> Bool
    ) throws(InitError) -> LargeMemory? {
        let count = rows * columns
        let matrix = try LargeMemory(byteCount: count * format.itemSize, for: "a matrix")
        var filled = 0
        while filled < count {
            if isCancelled() { return nil }
            filled += matrix.withMutableBytes { bytes in
                let end = min(count, filled + drawnAtOnce)
                var rest = bytes._mutatingExtracting(filled * format.itemSize..<end * format.itemSize)
                return normals.fill(filled..<end, into: &rest).elements
            }
        }
        let isDone = try LinearAlgebra.orthogonalize(
            matrix,
            rows: rows,
            columns: columns,
            gain: gain,
            format: format,
            isCancelled: isCancelled
        )
        return isDone ? matrix : nil
    }
}
