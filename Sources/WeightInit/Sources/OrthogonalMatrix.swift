internal import TorchRandom

/// The matrix that `orthogonal_` makes: the orthogonal factor of a matrix of normals, with the signs that make it
/// uniform over orthogonal matrices (Mezzadri 2007), times the gain.
///
/// Its elements are PyTorch's but for the rounding errors of the two QR decompositions.
enum OrthogonalMatrix {
    /// - Parameter normals: `rows` × `columns` elements of `format`, row by row; not empty.
    /// - Returns: The bytes of the matrix, row by row; none where `isCancelled` has turned true.
    /// - Throws: `tooLarge` where memory is not to be had, `failed` where the library is not.
    static func make(
        rows: Int,
        columns: Int,
        gain: Double,
        format: FloatFormat,
        normals: any ElementSource,
        isCancelled: () -> Bool
    ) throws(InitError) -> [UInt8] {
        let library = try LinearAlgebra.library.get()
        return format == .float64
            ? try make(rows, columns, gain, normals, isCancelled, library.orthogonalize)
            : try make(rows, columns, Float(gain), normals, isCancelled, library.orthogonalize)
    }

    private static func make<Element: BinaryFloatingPoint & BitwiseCopyable>(
        _ rows: Int,
        _ columns: Int,
        _ gain: Element,
        _ normals: any ElementSource,
        _ isCancelled: () -> Bool,
        _ orthogonalize: (inout [Element], Int, Int) -> Bool
    ) throws(InitError) -> [UInt8] {
        let size = MemoryLayout<Element>.stride
        let count = rows * columns
        var matrix = [Element](repeating: 0, count: count)
        var storage = matrix.mutableSpan
        var filled = 0
        while filled < count {
            var bytes = storage.mutableBytes
            var rest = bytes._mutatingExtracting(filled * size..<count * size)
            filled += normals.fill(filled..<count, into: &rest).elements
        }
        // The decomposition itself cannot be stopped.
        if isCancelled() { return [] }
        // Column by column. The rows of a wide matrix, whose transpose is factored, already lie like that.
        let isTall = rows >= columns
        if isTall { matrix = transposed(matrix, rows: rows, columns: columns) }
        guard orthogonalize(&matrix, max(rows, columns), min(rows, columns)) else {
            throw .tooLarge("shape", "memory for a matrix of \(count) elements is not to be had")
        }
        if isTall { matrix = transposed(matrix, rows: columns, columns: rows) }
        for index in matrix.indices { matrix[index] *= gain }
        return matrix.withUnsafeBytes { Array($0) }
    }

    /// In tiles, whose lines of both matrices are in the cache together. They are small because lines that are a power of two
    /// apart share few places there.
    private static func transposed<Element>(_ matrix: [Element], rows: Int, columns: Int) -> [Element] {
        let side = 8
        var result = matrix
        for firstRow in stride(from: 0, to: rows, by: side) {
            for firstColumn in stride(from: 0, to: columns, by: side) {
                for column in firstColumn..<min(firstColumn + side, columns) {
                    for row in firstRow..<min(firstRow + side, rows) {
                        result[column * rows + row] = matrix[row * columns + column]
                    }
                }
            }
        }
        return result
    }
}
