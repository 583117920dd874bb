private import ByteSource
internal import TorchRandom

/// Elements of one source inside a region, and of another source outside of it.
final class OverlaidElements: ElementSource {
    private let below: (any ElementSource)?
    private let above: any ElementSource
    private let region: Region
    private let itemSize: Int

    /// - Parameters:
    ///   - below: `nil` if nothing is read outside of the region.
    ///   - above: The region's elements, in the region's order.
    init(_ below: (any ElementSource)?, _ above: any ElementSource, region: Region, itemSize: Int) {
        self.below = below
        self.above = above
        self.region = region
        self.itemSize = itemSize
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        var element = range.lowerBound
        var work = 0
        while element < range.upperBound, work < TensorSource.workPerRead {
            let place = region.locate(element)
            let count = min(place.count, range.upperBound - element)
            let from = (element - range.lowerBound) * itemSize
            var rest = destination._mutatingExtracting(from..<from + count * itemSize)
            let filled: (elements: Int, work: Int)
            if let index = place.index {
                filled = above.fill(index..<index + count, into: &rest)
            } else if let below {
                filled = below.fill(element..<element + count, into: &rest)
            } else {
                filled = (count, 0)
            }
            element += filled.elements
            // Finding a run takes about as long as making a few elements.
            work += filled.work + 4
        }
        return (element - range.lowerBound, work)
    }
}

/// Elements of another source, with arithmetic on the elements of a region or on all elements.
final class ChangedElements: ElementSource {
    private let elements: any ElementSource
    private let chain: ElementChain
    private let region: Region?
    private let workPerElement: Int

    init(_ elements: any ElementSource, _ operations: [ElementOperation], region: Region?, format: FloatFormat) {
        self.elements = elements
        self.region = region
        workPerElement = ElementOperation.work(of: operations)
        chain = ElementChain(operations.map { $0.chainStep(in: format) }, format: format)
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let filled = elements.fill(range, into: &destination)
        let itemSize = chain.format.itemSize
        guard let region else {
            var made = destination._mutatingExtracting(0..<filled.elements * itemSize)
            chain.apply(to: &made)
            return (filled.elements, filled.work + filled.elements * workPerElement)
        }
        var element = range.lowerBound
        let end = range.lowerBound + filled.elements
        var work = filled.work
        while element < end {
            let place = region.locate(element)
            let count = min(place.count, end - element)
            if place.index != nil {
                let from = (element - range.lowerBound) * itemSize
                var rest = destination._mutatingExtracting(from..<from + count * itemSize)
                chain.apply(to: &rest)
                work += count * workPerElement
            }
            element += count
            work += 4
        }
        return (filled.elements, work)
    }
}

/// Elements of another source, converted to another type.
final class ConvertedElements: ElementSource {
    private let elements: any ElementSource
    private let from: DType
    private let to: DType
    private var buffer: [UInt8] = []

    init(_ elements: any ElementSource, from: DType, to: DType) {
        self.elements = elements
        self.from = from
        self.to = to
    }

    /// Largest number of elements that a call converts.
    private static let step = 4096

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let count = min(range.count, ConvertedElements.step)
        var bytes: [UInt8] = []
        swap(&bytes, &buffer)
        if bytes.count < count * from.itemSize { bytes = [UInt8](repeating: 0, count: count * from.itemSize) }
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        let filled = elements.fill(range.lowerBound..<range.lowerBound + count, into: &span)
        from.convert(span.bytes, to: to, count: filled.elements, into: &destination)
        swap(&bytes, &buffer)
        return (filled.elements, filled.work + filled.elements)
    }
}

extension DType {
    /// Converts elements as `Tensor.copy_` does: to nearest, ties to even; float64 is rounded to float32 before 16
    /// bits.
    ///
    /// Floats are never converted to integers: the plan refuses them.
    fileprivate func convert(_ source: RawSpan, to: DType, count: Int, into destination: inout MutableRawSpan) {
        switch (self, to) {
        case (.float32, .bfloat16):
            for index in 0..<count {
                let value = source.unsafeLoadUnaligned(fromByteOffset: index * 4, as: Float.self)
                destination.storeBytes(of: FloatFormat.bfloat16Bits(value), toByteOffset: index * 2, as: UInt16.self)
            }
        case (.float32, .float16):
            for index in 0..<count {
                let value = source.unsafeLoadUnaligned(fromByteOffset: index * 4, as: Float.self)
                destination.storeBytes(of: Float16(value).bitPattern, toByteOffset: index * 2, as: UInt16.self)
            }
        default:
            for index in 0..<count {
                let bits = source.bits(itemSize: itemSize, at: index)
                destination.store(converted(bits, to: to), byteCount: to.itemSize, at: index * to.itemSize)
            }
        }
    }

    private func converted(_ bits: UInt64, to: DType) -> UInt64 {
        if let format = floatFormat { return to.floatFormat.map { $0.bits(format.value(bits: bits)) } ?? 0 }
        let integer: Int64 =
            switch self {
            case .int32: Int64(Int32(truncatingIfNeeded: bits))
            case .int16: Int64(Int16(truncatingIfNeeded: bits))
            case .int8: Int64(Int8(truncatingIfNeeded: bits))
            default: Int64(bitPattern: bits)
            }
        switch to.floatFormat {
        case .float64: return Double(integer).bitPattern
        // Rounded to float32, and then to 16 bits.
        case let format?: return format.bits(Double(Float(integer)))
        case nil: return to == .bool ? (integer == 0 ? 0 : 1) : UInt64(bitPattern: integer)
        }
    }
}

extension RawSpan {
    /// The bits of a little-endian element.
    fileprivate func bits(itemSize: Int, at index: Int) -> UInt64 {
        var bits: UInt64 = 0
        for byte in 0..<itemSize {
            let value = unsafeLoad(fromByteOffset: index * itemSize + byte, as: UInt8.self)
            bits |= UInt64(value) << (8 * UInt64(byte))
        }
        return bits
    }
}

/// `start + i · step`.
final class RangeElements: ElementSource {
    private let start: Scalar
    private let step: Scalar
    private let dtype: DType

    init(start: Scalar, step: Scalar, dtype: DType) {
        self.start = start
        self.step = step
        self.dtype = dtype
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        for index in range {
            destination.store(
                RangeElements.bits(start: start, step: step, dtype, at: index),
                byteCount: dtype.itemSize,
                at: (index - range.lowerBound) * dtype.itemSize
            )
        }
        return (range.count, 4 * range.count)
    }

    private static func bits(start: Scalar, step: Scalar, _ dtype: DType, at index: Int) -> UInt64 {
        if let format = dtype.floatFormat { return format.bits(start.double + Double(index) * step.double) }
        // The method has checked that both ends fit.
        return UInt64(bitPattern: Int64((start.exactInteger ?? 0) &+ index &* (step.exactInteger ?? 0)))
    }
}
