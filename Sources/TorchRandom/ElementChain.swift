internal import CTorchKernels

/// Arithmetic on elements, one step after the other, each rounded to the elements' format as PyTorch rounds it.
public struct ElementChain: Sendable {
    public enum Step: Sendable, Equatable {
        case add(Double)
        case subtract(Double)
        case multiply(Double)
        case divide(Double)
        /// max(low, x), then min(high, x); NaN stays NaN.
        case clamp(low: Double, high: Double)
        /// The inverse of the error function as the nearest float32, which 16-bit formats round once more. Not for
        /// float64.
        case inverseError
    }

    public let format: FloatFormat
    private let steps: [ctk_step]
    private let kernels: Kernels

    /// Work of the inverse of the error function, in generator words.
    public static let workOfInverseError = 8

    /// - Parameter steps: Steps whose operands have already been rounded.
    public init(_ steps: [Step], format: FloatFormat, kernels: Kernels = .selected) {
        self.format = format
        self.kernels = kernels
        self.steps = steps.map { step in
            switch step {
            case .add(let value): ctk_step(operation: CTK_ADD, first: value, second: 0)
            case .subtract(let value): ctk_step(operation: CTK_SUBTRACT, first: value, second: 0)
            case .multiply(let value): ctk_step(operation: CTK_MULTIPLY, first: value, second: 0)
            case .divide(let value): ctk_step(operation: CTK_DIVIDE, first: value, second: 0)
            case .clamp(let low, let high): ctk_step(operation: CTK_CLAMP, first: low, second: high)
            case .inverseError: ctk_step(operation: CTK_INVERSE_ERROR, first: 0, second: 0)
            }
        }
    }

    /// Replaces the elements of a span by the results, at any alignment.
    public func apply(to elements: inout MutableRawSpan) {
        let functions = kernels.functions.pointee
        let count = elements.byteCount / format.itemSize
        // The kernels take pointers.
        elements.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            switch format {
            case .float32: functions.change_f32(start, count, steps, steps.count)
            case .float64: functions.change_f64(start, count, steps, steps.count)
            case .float16: functions.change_f16(start, count, steps, steps.count)
            case .bfloat16: functions.change_bf16(start, count, steps, steps.count)
            }
        }
    }
}
