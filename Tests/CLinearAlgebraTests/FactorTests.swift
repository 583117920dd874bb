import CLinearAlgebra
import Foundation
import Testing
import TorchRandom

/// Serial, because the number of threads is a setting of the whole process.
@Suite("The orthogonal factor of a matrix", .serialized)
struct FactorTests {
    /// Sizes around the ends of slabs, blocks and groups of columns; narrow, tall, square and wide.
    private static let shapes = [
        [1, 1], [1, 9], [700, 1], [5, 2], [3, 300], [40, 8], [8, 40], [9, 9], [15, 15], [16, 16], [17, 17], [64, 64],
        [33, 65],
        [129, 129], [200, 96], [300, 300], [77, 600], [620, 577], [513, 700],
    ]

    init() {
        cla_set_thread_limit(1)
    }

    // MARK: Right

    @Test(
        "The factor has orthonormal columns, and R = QᵀA is upper triangular with a positive diagonal",
        arguments: shapes
    )
    func factor(_ shape: [Int]) {
        let (rows, columns) = (shape[0], shape[1])
        let original = Matrix<Double>(rows, columns)
        let q = original.factored()
        check(original, q, precision: 1e-13)
        // float32 agrees to its precision.
        let single = original.converted(to: Float.self)
        check(single, single.factored(), precision: 1e-5)
    }

    @Test("The factor is orthogonal even if columns are nearly linearly dependent", arguments: [4.0, 8, 12, 16])
    func illConditioned(digits: Double) {
        // Each column is the one before it plus a small difference.
        var matrix = Matrix<Double>(180, 150)
        let small = pow(10, -digits)
        for row in 0..<180 {
            for column in 1..<150 { matrix[row, column] = matrix[row, column - 1] + small * matrix[row, column] }
        }
        let q = matrix.factored()
        #expect(q.distanceFromOrthogonal() < 1e-13)
    }

    @Test("A column of zeros stays 0")
    func zeroColumns() {
        var matrix = Matrix<Float>(50, 20)
        for row in 0..<50 {
            matrix[row, 0] = 0
            matrix[row, 7] = 0
        }
        let q = matrix.factored()
        #expect((0..<50).allSatisfy { q[$0, 0] == 0 && q[$0, 7] == 0 })
        #expect((0..<50).contains { q[$0, 8] != 0 })
    }

    @Test("The factor is multiplied by the gain, which is first rounded to the type of the elements")
    func gain() {
        let matrix = Matrix<Float>(40, 30)
        let (plain, scaled) = (matrix.factored(), matrix.factored(gain: 1.1))
        #expect(zip(plain.elements, scaled.elements).allSatisfy { $0 * Float(1.1) == $1 })
    }

    // MARK: The same

    @Test(
        "The factor is the one of the vectors, with every kernel and any number of threads",
        arguments: try! FactorVector.all()
    )
    func sameBits(_ vector: FactorVector) {
        for kernels in Kernels.all.map(\.name) {
            for threads in 1...3 {
                cla_set_thread_limit(threads)
                #expect(vector.digest(kernels) == vector.expected, "\(kernels), \(threads) threads")
            }
        }
    }

    @Test(
        "The factor is the same after other factorisations were cancelled midway, while helper threads worked",
        arguments: [1, 3]
    )
    func cancelled(threads: Int) {
        cla_set_thread_limit(threads)
        let matrix = Matrix<Float>(500, 450)
        let expected = matrix.factored()
        for steps in [0, 1, 2, 5, 20, 60] {
            let given = matrix.elements
            given.withUnsafeBytes { bytes in
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
                copy.copyMemory(from: bytes)
                defer { copy.deallocate() }
                let factor = cla_factor_begin(Kernels.selected.name, CLA_FLOAT32, copy.baseAddress!, 500, 450, 1)
                for _ in 0..<steps { _ = cla_factor_step(factor!) }
                cla_factor_end(factor!)
            }
            #expect(matrix.factored().elements == expected.elements)
        }
    }

    // MARK: Bounded units, bounded memory

    @Test(
        "A factorisation consists of steps of bounded work",
        arguments: [[1000, 1000], [100_000, 16], [16, 100_000], [60_000, 3]]
    )
    func units(_ shape: [Int]) {
        for kernels in Kernels.all.map(\.name) where kernels != "portable" {
            var steps = 0
            _ = Matrix<Float>(shape[0], shape[1]).factored(kernels: kernels) { steps += 1 }
            let (m, n) = (Double(shape.max()!), Double(shape.min()!))
            // Multiply-adds and copied elements of the whole factorisation, per step.
            #expect((2 * m * n * n + 16 * m * n) / Double(steps) < 0x1p26, "\(kernels): \(steps) steps")
        }
    }

    @Test("A factorisation takes no more memory than three copies of a large matrix, however narrow")
    func memory() {
        for precision in [CLA_FLOAT32, CLA_FLOAT64] {
            let size = precision == CLA_FLOAT32 ? 4 : 8
            for columns in Array(1...40) + [64, 65, 96, 128, 129, 200, 257, 300, 512, 600, 1500, 4096, 8192] {
                let rows = (1 << 26) / columns
                let bytes = cla_factor_bytes(precision, rows, columns)
                #expect(bytes <= 3 * size * rows * columns, "\(rows) × \(columns)")
                #expect(bytes == cla_factor_bytes(precision, columns, rows))
            }
        }
    }

    private func check<Element>(_ original: Matrix<Element>, _ q: Matrix<Element>, precision: Double) {
        let (a, q) = (original.tall(), q.tall())
        let tolerance = precision * Double(a.rows).squareRoot()
        #expect(q.distanceFromOrthogonal() < tolerance)
        for i in 0..<a.columns {
            for j in 0...i {
                let element = q.product(column: i, a, column: j)
                if i == j { #expect(element > 0) } else { #expect(abs(element) < tolerance * 10) }
            }
        }
    }
}
