internal import CTorchKernels

/// A generator whose position can be moved. The position is the number of 32-bit words drawn since seeding.
///
/// Keeps one block of generator state, and moves by any distance in well under a millisecond. Used by one thread at a
/// time.
public final class WordStream {
    public let seed: UInt32
    private let kernels: UnsafePointer<ctk_kernels>
    // Owned: the state is too large for a property, and the kernels need it aligned.
    private let state: UnsafeMutablePointer<ctk_stream>
    /// Number of words drawn since seeding.
    public private(set) var position: UInt64 = 0

    public init(seed: UInt32, kernels: Kernels = .selected) {
        self.seed = seed
        self.kernels = kernels.functions
        state = WordStream.allocateState()
        ctk_seed(state, seed)
    }

    /// A copy at the same position, which costs less than seeding.
    public init(copying other: WordStream) {
        seed = other.seed
        kernels = other.kernels
        position = other.position
        state = WordStream.allocateState()
        state.initialize(from: other.state, count: 1)
    }

    private static func allocateState() -> UnsafeMutablePointer<ctk_stream> {
        UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<ctk_stream>.stride, alignment: 64)
            .bindMemory(to: ctk_stream.self, capacity: 1)
    }

    deinit {
        state.deallocate()
    }

    /// Moves to any position, forwards or back.
    ///
    /// - Returns: The work that this took, in words generated.
    @discardableResult
    public func seek(to target: UInt64) -> Int {
        let used = UInt64(state.pointee.used)
        let distance: UInt64
        if target < position, target + used >= position {
            state.pointee.used = UInt32(used - (position - target))
            distance = 0
        } else if target < position {
            ctk_seed(state, seed)
            ctk_jump(kernels, state, target)
            distance = target + UInt64(CTK_STATE_WORDS)
        } else {
            distance = target - position
            if distance > 0 { ctk_jump(kernels, state, distance) }
        }
        position = target
        return WordStream.workOfSeeking(distance)
    }

    /// Cost of moving by a distance, in generated words. Skipping a word costs about a quarter of making it, and from
    /// some distance on the cost is constant.
    public static func workOfSeeking(_ distance: UInt64) -> Int {
        Int(min(distance, 1 << 22)) / 4
    }

    /// The next 32-bit word.
    public func next() -> UInt32 {
        var word: UInt32 = 0
        draw(1, into: &word)
        return word
    }

    /// The next `count` words.
    func draw(_ count: Int, into words: UnsafeMutablePointer<UInt32>) {
        kernels.pointee.words(state, words, count)
        position += UInt64(count)
    }

    /// A float64 in [0, 1), from the next two words.
    public func u53() -> Double {
        let high = UInt64(next())
        let low = UInt64(next())
        return ScalarGenerator.u53(high: high, low: low)
    }

    /// Fills `elements` elements at the front of `destination` as `uniform_(from, to)` does.
    ///
    /// - Parameter destination: At least `elements` × item size bytes, at any alignment.
    public func fillUniform(
        _ format: FloatFormat,
        from: Double,
        to: Double,
        elements: Int,
        into destination: inout MutableRawSpan
    ) {
        let (low, high) = (Float(from), Float(to))
        let (replaced, replacement) = (
            UInt16(truncatingIfNeeded: format.bits(Double(high))), UInt16(truncatingIfNeeded: format.bits(Double(low)))
        )
        fill(&destination, itemSize: format.itemSize, unit: 1, count: elements) { pointer, count in
            switch format {
            case .float32:
                let pointer = pointer.assumingMemoryBound(to: Float.self)
                kernels.pointee.uniform_f32(state, pointer, count, low, high - low, high, low)
            case .float64:
                let pointer = pointer.assumingMemoryBound(to: Double.self)
                kernels.pointee.uniform_f64(state, pointer, count, from, to - from, to, from)
            case .float16, .bfloat16:
                let uniform = format == .float16 ? kernels.pointee.uniform_f16 : kernels.pointee.uniform_bf16
                let pointer = pointer.assumingMemoryBound(to: UInt16.self)
                uniform(state, pointer, count, low, high - low, replaced, replacement)
            }
        }
        position += UInt64(elements) * format.wordsPerElement
    }

    /// Number of elements in a block of normals.
    public static let blockSize = Int(CTK_NORMAL_BLOCK)

    /// Fills `blocks` blocks of 16 elements at the front of `destination` as `normal_(mean, std)` does for at least 16
    /// elements.
    ///
    /// - Parameter destination: At least 16 × `blocks` × item size bytes, at any alignment.
    public func fillNormalBlocks(
        _ format: FloatFormat,
        mean: Double,
        std: Double,
        blocks: Int,
        into destination: inout MutableRawSpan
    ) {
        let (floatMean, floatStd) = (Float(mean), Float(std))
        fill(&destination, itemSize: format.itemSize, unit: WordStream.blockSize, count: blocks) { pointer, count in
            switch format {
            case .float32:
                let pointer = pointer.assumingMemoryBound(to: Float.self)
                kernels.pointee.normal_f32(state, pointer, count, floatMean, floatStd)
            case .float64:
                let pointer = pointer.assumingMemoryBound(to: Double.self)
                kernels.pointee.normal_f64(state, pointer, count, mean, std)
            case .float16, .bfloat16:
                let normal = format == .float16 ? kernels.pointee.normal_f16 : kernels.pointee.normal_bf16
                normal(state, pointer.assumingMemoryBound(to: UInt16.self), count, floatMean, floatStd)
            }
        }
        position += UInt64(blocks * WordStream.blockSize) * format.wordsPerElement
    }

    /// Draws blocks as ``fillNormalBlocks(_:mean:std:blocks:into:)`` does, and replaces the values that are pending.
    ///
    /// - Parameters:
    ///   - rejection: Bounds, in the format of the values. Values outside of them stay pending.
    ///   - blocks: Indices of the blocks to draw.
    ///   - values: All blocks, of 16 elements each, at any alignment.
    ///   - pending: A mask for each of all blocks; the lowest bit is the first element's.
    /// - Returns: The range of `blocks` from the first to the last in which a value is still pending.
    public func redrawNormalBlocks(
        _ rejection: BlockRejection,
        mean: Double,
        std: Double,
        blocks: Range<Int>,
        of values: inout MutableRawSpan,
        pending: inout [UInt16]
    ) -> Range<Int> {
        let blockBytes = WordStream.blockSize * rejection.format.itemSize
        let blocks = blocks.clamped(to: 0..<min(pending.count, values.byteCount / blockBytes))
        guard !blocks.isEmpty else { return blocks }
        let (low, high) = (rejection.low, rejection.high)
        let (floatMean, floatStd) = (Float(mean), Float(std))
        let functions = kernels.pointee
        let count = blocks.count
        // The kernels take pointers.
        let range = values.withUnsafeMutableBytes { bytes in
            pending.withUnsafeMutableBufferPointer { pending in
                guard let start = bytes.baseAddress, let pending = pending.baseAddress else { return ctk_range() }
                let first = start + blocks.lowerBound * blockBytes
                let masks = pending + blocks.lowerBound
                return switch rejection.format {
                case .float32:
                    functions.redraw_f32(state, first, count, floatMean, floatStd, low.asFloat, high.asFloat, masks)
                case .float64:
                    functions.redraw_f64(
                        state,
                        first,
                        count,
                        mean,
                        std,
                        Double(bitPattern: low),
                        Double(bitPattern: high),
                        masks
                    )
                case .float16:
                    functions.redraw_f16(state, first, count, floatMean, floatStd, UInt16(low), UInt16(high), masks)
                case .bfloat16:
                    functions.redraw_bf16(state, first, count, floatMean, floatStd, UInt16(low), UInt16(high), masks)
                }
            }
        }
        position += UInt64(count * WordStream.blockSize) * rejection.format.wordsPerElement
        return blocks.lowerBound + range.first..<blocks.lowerBound + range.end
    }

    /// Bytes that are made in a buffer at a time if the destination is not aligned.
    private static let scratchSize = 16384

    /// Calls `write` for `count` units of `unit` elements at the front of a span; the extraction traps if the span is
    /// too short.
    private func fill(
        _ destination: inout MutableRawSpan,
        itemSize: Int,
        unit: Int,
        count: Int,
        _ write: (UnsafeMutableRawPointer, Int) -> Void
    ) {
        guard count > 0 else { return }
        let unitSize = unit * itemSize
        var front = destination._mutatingExtracting(0..<count * unitSize)
        // The kernels take pointers.
        front.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            if Int(bitPattern: start) % itemSize == 0 {
                write(start, count)
                return
            }
            withUnsafeTemporaryAllocation(byteCount: WordStream.scratchSize, alignment: 64) { scratch in
                guard let aside = scratch.baseAddress else { return }
                for first in stride(from: 0, to: count, by: WordStream.scratchSize / unitSize) {
                    let units = min(count - first, WordStream.scratchSize / unitSize)
                    write(aside, units)
                    (start + first * unitSize).copyMemory(from: aside, byteCount: units * unitSize)
                }
            }
        }
    }
}

extension MutableRawSpan {
    /// Writes one element, little-endian.
    public mutating func store(_ bits: UInt64, as format: FloatFormat, at index: Int) {
        store(bits, byteCount: format.itemSize, at: index * format.itemSize)
    }

    /// Writes the low bytes of an integer, little-endian.
    public mutating func store(_ bits: UInt64, byteCount: Int, at offset: Int) {
        for byte in 0..<byteCount {
            storeBytes(
                of: UInt8(truncatingIfNeeded: bits >> (8 * UInt64(byte))),
                toByteOffset: offset + byte,
                as: UInt8.self
            )
        }
    }
}
