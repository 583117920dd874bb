internal import TorchRandom

/// Arithmetic on every element of a tensor, each step rounded to the tensor's type.
enum ElementOperation: Sendable, Equatable {
    case add(Double)
    case subtract(Double)
    case multiply(Double)
    case divide(Double)
    /// `nil` for no bound.
    case clamp(low: Double?, high: Double?)
    case inverseError

    /// Largest number of operations in one pass over the elements.
    static let longestChain = 64

    /// Work of a chain for one element, in generator words.
    static func work(of chain: [ElementOperation]) -> Int {
        chain.reduce(0) { $0 + ($1 == .inverseError ? ElementChain.workOfInverseError : 1) }
    }

    /// The operation with its operand rounded as PyTorch rounds it: 16-bit types take summands and bounds in their own
    /// precision, but factors and divisors in float32.
    func chainStep(in format: FloatFormat) -> ElementChain.Step {
        let narrow = { (value: Double) in format.rounded(value) }
        let wide = { (value: Double) in format == .float64 ? value : Double(Float(value)) }
        return switch self {
        case .add(let value): .add(narrow(value))
        case .subtract(let value): .subtract(narrow(value))
        case .multiply(let value): .multiply(wide(value))
        case .divide(let value): .divide(wide(value))
        case .clamp(let low, let high): .clamp(low: low.map(narrow) ?? -.infinity, high: high.map(narrow) ?? .infinity)
        case .inverseError: .inverseError
        }
    }
}
