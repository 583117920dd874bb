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
        var drawn = [Element](repeating: 0, count: count)
        var storage = drawn.mutableSpan
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
        var matrix = drawn
        if isTall { transpose(drawn, rows: rows, columns: columns, into: &matrix) }
        guard orthogonalize(&matrix, max(rows, columns), min(rows, columns)) else {
            throw .tooLarge("shape", "memory for a matrix of \(count) elements is not to be had")
        }
        if isTall { transpose(matrix, rows: columns, columns: rows, into: &drawn) } else { drawn = matrix }
        var result = [UInt8](repeating: 0, count: count * size)
        var resultStorage = result.mutableSpan
        var bytes = resultStorage.mutableBytes
        for (index, value) in drawn.enumerated() {
            bytes.storeBytes(of: value * gain, toByteOffset: index * size, as: Element.self)
        }
        return result
    }

    private static func transpose<Element>(
        _ source: [Element],
        rows: Int,
        columns: Int,
        into destination: inout [Element]
    ) {
        for row in 0..<rows {
            for column in 0..<columns {
                destination[column * rows + row] = source[row * columns + column]
            }
        }
    }
}
