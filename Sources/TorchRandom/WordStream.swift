/// The generator of one request, at a position that can be moved: a position counts the 32-bit words drawn since
/// seeding.
///
/// Keeps no more than one block of generator state. Used by one thread at a time.
public final class WordStream {
    private let seed: UInt32
    private var generator: ScalarGenerator
    /// Words drawn since seeding.
    public private(set) var position: UInt64 = 0

    public init(seed: UInt32) {
        self.seed = seed
        generator = ScalarGenerator(seed: seed)
    }

    /// Moves to any position, forwards or back.
    public func seek(to target: UInt64) {
        if target < position {
            generator = ScalarGenerator(seed: seed)
            position = 0
        }
        while position < target {
            _ = next()
        }
    }

    /// The next 32-bit word.
    public func next() -> UInt32 {
        position += 1
        return generator.next()
    }

    /// A float64 in [0, 1), of two words.
    public func u53() -> Double {
        position += 2
        return generator.u53()
    }

    /// Fills `elements` elements at the front of `destination` as `uniform_(from, to)` does.
    ///
    /// - Parameters:
    ///   - from: Where the range starts, already in the format's arithmetic type for all but float64.
    ///   - destination: At least `elements` × item size bytes, at any alignment.
    public func fillUniform(
        _ format: FloatFormat,
        from: Double,
        to: Double,
        elements: Int,
        into destination: inout MutableRawSpan
    ) {
        for index in 0..<elements {
            let bits: UInt64
            if format == .float64 {
                bits = ScalarTransforms.uniform(u53(), from: from, to: to)
            } else {
                position += 1
                bits = ScalarTransforms.uniform(generator.u24(), from: Float(from), to: Float(to), format: format)
            }
            destination.store(bits, as: format, at: index)
        }
    }

    /// Fills `blocks` blocks of 16 elements at the front of `destination` as `normal_(mean, std)` does for 16 elements
    /// and more.
    ///
    /// - Parameter destination: At least 16 × `blocks` × item size bytes, at any alignment.
    public func fillNormalBlocks(
        _ format: FloatFormat,
        mean: Double,
        std: Double,
        blocks: Int,
        into destination: inout MutableRawSpan
    ) {
        for block in 0..<blocks {
            if format == .float64 {
                var values = (0..<16).map { _ in u53() }
                ScalarTransforms.normalBlock(&values, mean: mean, std: std)
                for (index, value) in values.enumerated() {
                    destination.store(value.bitPattern, as: format, at: 16 * block + index)
                }
            } else {
                var values = (0..<16).map { _ in generator.u24() }
                position += 16
                ScalarTransforms.normalBlock(&values, mean: Float(mean), std: Float(std))
                for (index, value) in values.enumerated() {
                    destination.store(format.bits(Double(value)), as: format, at: 16 * block + index)
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
            storeBytes(of: UInt8(truncatingIfNeeded: bits >> (8 * UInt64(byte))), toByteOffset: offset + byte, as: UInt8.self)
        }
    }
}
