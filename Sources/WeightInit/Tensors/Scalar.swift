internal import ByteText
internal import TorchRandom

/// A number in an argument, for an element of any type. Integers keep all of their 64 bits.
public enum Scalar: Sendable, Equatable {
    case integer(Int)
    case number(Double)

    /// The nearest float64.
    public var double: Double {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        }
    }

    /// The number as an integer; `nil` for a fraction, and for a `number` beyond ±2^53, which may have been rounded.
    var exactInteger: Int? {
        switch self {
        case .integer(let integer): integer
        case .number(let number): abs(number) <= 0x1p53 ? Int(exactly: number) : nil
        }
    }

    /// The bits of an element of a type, in the low bytes.
    ///
    /// - Throws: `refused` if an integer type cannot hold the number.
    func bits(_ dtype: DType, parameter: Text) throws(InitError) -> UInt64 {
        if let format = dtype.floatFormat { return format.bits(double) }
        guard let integer = exactInteger, let range = dtype.integerRange, range.contains(integer) else {
            throw .refused(parameter, "\(self) is not a value of \(dtype.rawValue)")
        }
        return UInt64(bitPattern: Int64(integer))
    }
}

extension Scalar: CustomStringConvertible {
    public var description: String {
        switch self {
        case .integer(let integer): "\(integer)"
        case .number(let number): "\(number)"
        }
    }
}
