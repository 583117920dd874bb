internal import CTorchKernels

/// Tells which values of blocks of 16 lie outside bounds, and replaces them by redrawn ones.
public struct BlockRejection: Sendable {
    private let kernels: Kernels
    private let format: FloatFormat
    private let low: UInt64
    private let high: UInt64

    /// - Parameters:
    ///   - low: Values below it are outside; rounded to the format.
    ///   - high: Values above it are outside; rounded to the format.
    public init(_ format: FloatFormat, low: Double, high: Double, kernels: Kernels = .selected) {
        self.kernels = kernels
        self.format = format
        self.low = format.bits(low)
        self.high = format.bits(high)
    }

    /// Finds what is outside; NaN never is.
    ///
    /// - Parameters:
    ///   - values: Blocks of 16 elements, aligned to the elements, whose bits the masks from `first` on get.
    ///   - masks: One for each block, the first element's bit lowest.
    public func findOutside(_ values: RawSpan, masks: inout [UInt16], from first: Int = 0) {
        let blocks = values.byteCount / (WordStream.blockSize * format.itemSize)
        guard blocks > 0, first >= 0, first + blocks <= masks.count else { return }
        let functions = kernels.functions.pointee
        let (low, high) = (self.low, self.high)
        // The kernels take pointers.
        values.withUnsafeBytes { bytes in
            masks.withUnsafeMutableBufferPointer { masks in
                guard let start = bytes.baseAddress, let mask = masks.baseAddress?.advanced(by: first) else { return }
                switch format {
                case .float32:
                    functions.outside_f32(
                        start.assumingMemoryBound(to: Float.self),
                        blocks,
                        Float(bitPattern: UInt32(low)),
                        Float(bitPattern: UInt32(high)),
                        mask
                    )
                case .float64:
                    functions.outside_f64(
                        start.assumingMemoryBound(to: Double.self),
                        blocks,
                        Double(bitPattern: low),
                        Double(bitPattern: high),
                        mask
                    )
                case .float16, .bfloat16:
                    functions.outside_16(
                        start.assumingMemoryBound(to: UInt16.self),
                        blocks,
                        UInt16(low),
                        UInt16(high),
                        UInt16(truncatingIfNeeded: format.bits(.infinity)),
                        mask
                    )
                }
            }
        }
    }

    /// Replaces the values of the bits in `pending` by redrawn ones; pending stays what is outside among those.
    ///
    /// - Parameters:
    ///   - values: Blocks of 16 elements, aligned to the elements, as many as there are masks.
    ///   - redrawn: As many.
    ///   - outside: The masks of `redrawn`.
    /// - Returns: How many blocks have anything pending.
    public func merge(
        _ redrawn: RawSpan,
        into values: inout MutableRawSpan,
        pending: inout [UInt16],
        outside: [UInt16]
    ) -> Int {
        let size = WordStream.blockSize * format.itemSize
        let blocks = min(pending.count, outside.count, redrawn.byteCount / size, values.byteCount / size)
        // The kernels take pointers.
        return values.withUnsafeMutableBytes { values in
            redrawn.withUnsafeBytes { redrawn in
                guard let values = values.baseAddress, let redrawn = redrawn.baseAddress else { return 0 }
                return ctk_merge(values, redrawn, format.itemSize, blocks, &pending, outside)
            }
        }
    }
}
