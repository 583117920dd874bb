import CLinearAlgebra
import TorchRandom

protocol MatrixElement: BinaryFloatingPoint & BitwiseCopyable {
    static var precision: cla_precision { get }
}

extension Float: MatrixElement {
    static var precision: cla_precision { CLA_FLOAT32 }
}

extension Double: MatrixElement {
    static var precision: cla_precision { CLA_FLOAT64 }
}

/// A matrix, row by row.
struct Matrix<Element: MatrixElement> {
    let rows: Int
    let columns: Int
    var elements: [Element]

    init(rows: Int, columns: Int, elements: [Element]) {
        (self.rows, self.columns, self.elements) = (rows, columns, elements)
    }

    /// Makes a matrix of pseudorandom elements between −1 and 1, by xorshift64 (Marsaglia 2003).
    init(_ rows: Int, _ columns: Int) {
        var state: UInt64 = 88_172_645_463_325_252
        self.init(
            rows: rows,
            columns: columns,
            elements: (0..<rows * columns).map { _ in
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                return Element(Double(Int64(bitPattern: state)) * 0x1p-63)
            }
        )
    }

    subscript(row: Int, column: Int) -> Element {
        get { elements[row * columns + column] }
        set { elements[row * columns + column] = newValue }
    }

    func converted<Other>(to: Other.Type) -> Matrix<Other> {
        Matrix<Other>(rows: rows, columns: columns, elements: elements.map { Other($0) })
    }

    /// The matrix, or its transpose if the matrix has fewer rows than columns.
    func tall() -> Matrix {
        guard rows < columns else { return self }
        return Matrix(
            rows: columns,
            columns: rows,
            elements: (0..<elements.count).map { elements[$0 % rows * columns + $0 / rows] }
        )
    }

    func product(column: Int, _ other: Matrix, column otherColumn: Int) -> Double {
        (0..<rows).reduce(0) { $0 + Double(self[$1, column]) * Double(other[$1, otherColumn]) }
    }

    /// The largest element of |QᵀQ − 1|.
    func distanceFromOrthogonal() -> Double {
        var largest = 0.0
        for i in 0..<columns {
            for j in 0...i { largest = max(largest, abs(product(column: i, self, column: j) - (i == j ? 1 : 0))) }
        }
        return largest
    }

    /// The orthogonal factor.
    ///
    /// - Parameter step: Called after each step but the last.
    func factored(kernels: String = Kernels.selected.name, gain: Double = 1, _ step: () -> Void = {}) -> Matrix {
        var result = self
        result.elements.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress,
                let factor = cla_factor_begin(kernels, Element.precision, start, rows, columns, gain)
            else { preconditionFailure("no memory") }
            while cla_factor_step(factor) { step() }
            cla_factor_end(factor)
        }
        return result
    }
}
