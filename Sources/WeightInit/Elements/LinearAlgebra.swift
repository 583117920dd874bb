private import CLinearAlgebra
internal import TorchRandom

/// The decomposition of matrices: the same bits with every kernel and any number of threads.
public enum LinearAlgebra {
    /// Sets the number of threads that all decompositions of the process may run on at the same time, the calling
    /// threads included; 1 until it is set. Call it once, before the first decomposition.
    public static func setThreadLimit(_ limit: Int) {
        cla_set_thread_limit(max(1, limit))
    }

    /// Bytes of memory that ``orthogonalize(_:rows:columns:gain:format:isCancelled:)`` takes besides the matrix.
    static func workspaceBytes(rows: Int, columns: Int, format: FloatFormat) -> Int {
        cla_factor_bytes(precision(format), rows, columns)
    }

    /// Replaces a matrix by its orthogonal factor times the gain: the Q of A = QR with the signs that make R's diagonal
    /// positive, or its transpose if there are more columns than rows.
    ///
    /// - Parameters:
    ///   - matrix: `rows` × `columns` elements, row by row; not empty.
    ///   - format: float32 or float64.
    ///   - isCancelled: Checked every few milliseconds.
    /// - Returns: `true` if the matrix has been replaced, `false` if `isCancelled` turned true.
    /// - Throws: `outOfMemory`.
    static func orthogonalize(
        _ matrix: LargeMemory,
        rows: Int,
        columns: Int,
        gain: Double,
        format: FloatFormat,
        isCancelled: () -> Bool
    ) throws(InitError) -> Bool {
        enum Outcome { case done, cancelled, noMemory }
        let outcome = matrix.withMutableBytes { bytes in
            // C keeps the pointer until `cla_factor_end`.
            bytes.withUnsafeMutableBytes { bytes -> Outcome in
                guard let start = bytes.baseAddress,
                    let factor = cla_factor_begin(Kernels.selected.name, precision(format), start, rows, columns, gain)
                else { return .noMemory }
                defer { cla_factor_end(factor) }
                while cla_factor_step(factor) {
                    if isCancelled() { return .cancelled }
                }
                return .done
            }
        }
        if outcome == .noMemory {
            throw .outOfMemory(
                "the decomposition of a matrix",
                byteCount: workspaceBytes(rows: rows, columns: columns, format: format)
            )
        }
        return outcome == .done
    }

    private static func precision(_ format: FloatFormat) -> cla_precision {
        format == .float64 ? CLA_FLOAT64 : CLA_FLOAT32
    }
}
