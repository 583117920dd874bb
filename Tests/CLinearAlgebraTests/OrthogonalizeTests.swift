import CLinearAlgebra
import Testing
import TorchRandom

@Suite("The orthogonal factor of a matrix")
struct OrthogonalizeTests {
    private let library: cla_library

    init() throws {
        var library = cla_library()
        let problem = cla_load("libopenblas.so.0", &library)
        try #require(problem == nil, "\(problem.map { String(cString: $0) } ?? "")")
        self.library = library
    }

    /// Column by column; far from singular, and of no structure.
    private func matrix(_ rows: Int, _ columns: Int) -> [Double] {
        var state: UInt64 = 88_172_645_463_325_252
        return (0..<rows * columns).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Double(Int64(bitPattern: state)) * 0x1p-63
        }
    }

    @Test(
        "has orthonormal columns, and R = QᵀA a positive diagonal",
        arguments: [(1, 1), (5, 1), (5, 3), (64, 64), (90, 40)]
    )
    func factor(rows: Int, columns: Int) {
        let original = matrix(rows, columns)
        var q = original
        #expect(cla_orthogonalize_f64(library, &q, Int32(rows), Int32(columns)) == 0)
        func product(_ a: [Double], _ i: Int, _ b: [Double], _ j: Int) -> Double {
            (0..<rows).reduce(0) { $0 + a[i * rows + $1] * b[j * rows + $1] }
        }
        for i in 0..<columns {
            for j in 0..<columns {
                #expect(abs(product(q, i, q, j) - (i == j ? 1 : 0)) < 1e-12)
                // R is upper triangular, so below the diagonal nothing is left of A.
                if i > j { #expect(abs(product(q, i, original, j)) < 1e-12) }
            }
            #expect(product(q, i, original, i) > 0)
        }
    }

    @Test("is the same in float32, to its precision")
    func float32() {
        var double = matrix(30, 20)
        var single = double.map { Float($0) }
        #expect(cla_orthogonalize_f64(library, &double, 30, 20) == 0)
        #expect(cla_orthogonalize_f32(library, &single, 30, 20) == 0)
        for (a, b) in zip(double, single) { #expect(abs(a - Double(b)) < 1e-4) }
    }

    @Test("a column of zeros stays zero")
    func zeroColumn() {
        var matrix = [Double](repeating: 0, count: 4)
        #expect(cla_orthogonalize_f64(library, &matrix, 4, 1) == 0)
        #expect(matrix.allSatisfy { $0 == 0 })
    }

    @Test("a processor newer than the library does not get the kernels of the oldest")
    func core() {
        let name = String(cString: library.core_name)
        #expect(!name.isEmpty)
        #if arch(x86_64)
            let lacksVectors = Kernels.all.count == 1
            #expect(name != "Prescott" || lacksVectors)
        #endif
    }

    @Test("a library that is missing, or is another one, is said to be")
    func missing() throws {
        for (file, reason) in [("libnone.so.0", "libnone.so.0"), ("libm.so.6", "openblas_get_corename")] {
            var library = cla_library()
            let problem = try #require(cla_load(file, &library))
            #expect(String(cString: problem).contains(reason))
        }
    }
}
