private import CLinearAlgebra

/// OpenBLAS, which decomposes matrices. It is loaded when it is first needed: few ever ask for `orthogonal`, and all would
/// wait for it at the start and have it in memory.
public struct LinearAlgebra: @unchecked Sendable {
    // Holds addresses of code, and of a constant.
    private let functions: cla_library

    /// The kind of processor that it computes for, on which the last bits of its results depend.
    ///
    /// - Throws: `failed` where it cannot be loaded.
    public static var coreName: String {
        get throws(InitError) { String(cString: try library.get().functions.core_name) }
    }

    /// A failure is not tried again: a process keeps its answers.
    static let library = Result { () throws(InitError) in try LinearAlgebra() }

    /// - Throws: `failed` where there is no such library.
    private init() throws(InitError) {
        var functions = cla_library()
        if let problem = cla_load("libopenblas.so.0", &functions) {
            let reason = String(cString: problem)
            throw InitError(.failed, [], "orthogonal needs OpenBLAS, which cannot be loaded: \(reason)")
        }
        self.functions = functions
    }

    /// Replaces a matrix by its orthogonal factor, as `cla_orthogonalize_f32` says.
    ///
    /// - Parameter matrix: `rows` × `columns` elements, column by column.
    /// - Returns: Whether there was memory for that.
    func orthogonalize(_ matrix: inout [Float], rows: Int, columns: Int) -> Bool {
        cla_orthogonalize_f32(functions, &matrix, Int32(rows), Int32(columns)) == 0
    }

    /// The same in double precision.
    func orthogonalize(_ matrix: inout [Double], rows: Int, columns: Int) -> Bool {
        cla_orthogonalize_f64(functions, &matrix, Int32(rows), Int32(columns)) == 0
    }
}
