internal import CTorchKernels

/// Bounds that accept or reject the values of blocks of 16.
public struct BlockRejection: Sendable {
    private let kernels: Kernels
    let format: FloatFormat
    let low: UInt64
    let high: UInt64

    /// - Parameters:
    ///   - low: The lower bound, which is rounded to the format; smaller values are outside.
    ///   - high: The upper bound, which is rounded to the format; larger values are outside.
    public init(_ format: FloatFormat, low: Double, high: Double, kernels: Kernels = .selected) {
        self.kernels = kernels
        self.format = format
        self.low = format.bits(low)
        self.high = format.bits(high)
    }

    /// Finds the values outside of the bounds; NaN never is outside.
    ///
    /// - Parameters:
    ///   - values: Blocks of 16 elements at any alignment, at least as many as there are masks.
    ///   - masks: Receives a mask for each block; the lowest bit is the first element's.
    /// - Returns: The blocks from the first to the last that hold values outside of the bounds.
    public func findOutside(_ values: RawSpan, masks: inout [UInt16]) -> Range<Int> {
        let blocks = min(masks.count, values.byteCount / (WordStream.blockSize * format.itemSize))
        guard blocks > 0 else { return 0..<0 }
        let functions = kernels.functions.pointee
        let (low, high) = (self.low, self.high)
        // The kernels take pointers.
        return values.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return 0..<0 }
            let range =
                switch format {
                case .float32: functions.outside_f32(start, blocks, low.asFloat, high.asFloat, &masks)
                case .float64:
                    functions.outside_f64(start, blocks, Double(bitPattern: low), Double(bitPattern: high), &masks)
                case .float16: functions.outside_f16(start, blocks, UInt16(low), UInt16(high), &masks)
                case .bfloat16: functions.outside_bf16(start, blocks, UInt16(low), UInt16(high), &masks)
                }
            return range.first..<range.end
        }
    }
}

extension UInt64 {
    /// The float whose bits these are.
    var asFloat: Float { Float(bitPattern: UInt32(truncatingIfNeeded: self)) }
}
