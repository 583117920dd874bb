private import ByteSource
internal import ByteText
internal import TorchRandom

/// Euclidean norms over all dimensions of a float32 tensor but one, as `torch.norm_except_dim` computes them for
/// `weight_norm`.
///
/// PyTorch adds squares in one of two orders, whatever the number of threads (`ReduceOpsKernel.cpp`, compiled for
/// AVX2):
/// - Over adjacent elements of a row: in eight lanes, which are then added in order. If four to seven elements remain,
///   four of them are squared, rounded and added; all others are added by fused multiply-adds.
/// - Over the rows of a matrix: one after the other, each square rounded.
struct WeightNorm: Sendable {
    /// The tensor at this point of the program.
    let content: TensorContent
    /// Index among the norms of a plan: a norm reads only those before it.
    let index: Int
    private let order: Order
    /// Number of norms.
    let count: Int

    private enum Order {
        /// Rows of `length` elements, one behind the other.
        case rows(length: Int)
        /// Matrices one behind the other, whose rows have `width` elements: a norm is over the same row of each matrix.
        case interleavedRows(width: Int)
        case columns
    }

    /// - Parameter dimension: The dimension that is kept; −1 for none.
    /// - Throws: `refused` for another type than float32, an empty tensor, a dimension that the tensor does not have,
    ///   or one whose order of addition is not known.
    init(of content: TensorContent, keeping dimension: Int, index: Int) throws(InitError) {
        let dimensions = content.shape.dimensions
        guard content.dtype == .float32 else {
            throw .refused("from", "norm takes float32, but the tensor is \(content.dtype.rawValue)")
        }
        guard content.shape.elementCount > 0 else {
            throw .refused("from", "the tensor has no elements")
        }
        guard dimension == -1 || dimensions.indices.contains(dimension) else {
            throw .refused("dim", "\(content.shape) has no dimension \(dimension); -1 takes the norm of all elements")
        }
        self.content = content
        self.index = index
        count = dimension == -1 ? 1 : dimensions[dimension]
        if dimension <= 0 {
            order = .rows(length: content.shape.elementCount / count)
        } else if dimension == dimensions.count - 1 {
            // The elements of a single row or a single column are adjacent.
            let isRow = content.shape.elementCount == count
            order = isRow ? .rows(length: 1) : count == 1 ? .rows(length: content.shape.elementCount) : .columns
        } else if dimension == 1 {
            order = .interleavedRows(width: dimensions[2...].reduce(1, *))
        } else {
            throw .refused(
                "dim",
                "norm keeps the first, the second or the last dimension, and not dimension \(dimension)"
            )
        }
    }

    /// Shape of the norms, without dimensions of 1.
    var dimensions: [Int] { count == 1 ? [] : [count] }

    /// Bytes of memory for the norms, and for the sums while the norms are made.
    var memory: Int {
        let (sum, overflow) = (count * MemoryLayout<Float>.stride).addingReportingOverflow(lanesByteCount)
        return overflow ? .max : sum
    }

    private var lanesByteCount: Int {
        switch order {
        case .rows: return RowSum.byteCount
        case .interleavedRows:
            let (product, overflow) = count.multipliedReportingOverflow(by: RowSum.byteCount)
            return overflow ? .max : product
        case .columns: return 0
        }
    }

    /// Largest number of elements read between two checks of `isCancelled`.
    private static let readAtOnce = 1 << 14

    /// - Parameter elements: The elements of ``content``.
    /// - Returns: The norms; `nil` once `isCancelled` has turned true.
    /// - Throws: `outOfMemory`.
    func make(of elements: any ElementSource, isCancelled: () -> Bool) throws(InitError) -> LargeMemory? {
        let itemSize = MemoryLayout<Float>.stride
        let norms = try LargeMemory(byteCount: count * itemSize, for: "norms")
        let lanes = try LargeMemory(byteCount: lanesByteCount, for: "norms")
        let source = TensorSource(
            elementCount: content.shape.elementCount,
            itemSize: itemSize,
            elements: elements,
            workPerElement: content.workPerElement
        )
        var buffer = [UInt8](repeating: 0, count: min(source.byteCount, WeightNorm.readAtOnce * itemSize))
        var position = 0
        while position < source.byteCount {
            if isCancelled() { return nil }
            var storage = buffer.mutableSpan
            var bytes = storage.mutableBytes
            let read = source.read(at: position, into: &bytes)
            let values = bytes.bytes.extracting(0..<read)
            norms.withMutableElements(of: Float.self) { norms in
                lanes.withMutableElements(of: Float.self) { add(values, from: position / itemSize, &norms, &$0) }
            }
            position += read
        }
        return norms
    }

    /// Adds elements that follow each other in the tensor.
    private func add(
        _ values: RawSpan,
        from first: Int,
        _ norms: inout MutableSpan<Float>,
        _ lanes: inout MutableSpan<Float>
    ) {
        let length = content.shape.elementCount / count
        let end = first + values.byteCount / MemoryLayout<Float>.stride
        var element = first
        while element < end {
            /// Number of elements left in the same row.
            let run: Int
            /// Indices of the row's norm and of its accumulators, and the element's place in the row.
            let row: (norm: Int, slot: Int, place: Int)
            switch order {
            case .rows:
                row = (element / length, 0, element % length)
                run = min(length - row.place, end - element)
            case .interleavedRows(let width):
                let (line, within) = element.quotientAndRemainder(dividingBy: width)
                row = (line % count, line % count, line / count * width + within)
                run = min(width - within, end - element)
            case .columns:
                row = (element % count, 0, element / count)
                run = min(count - row.norm, end - element)
            }
            let from = (element - first) * MemoryLayout<Float>.stride
            let part = values.extracting(from..<from + run * MemoryLayout<Float>.stride)
            if case .columns = order {
                WeightNorm.addSquares(of: part, to: &norms, from: row.norm, isLast: row.place == length - 1)
            } else {
                var sum = RowSum(lanes: RowSum.load(lanes, row.slot), place: row.place, length: length)
                sum.add(part)
                let isDone = sum.place == length
                if isDone { norms[row.norm] = sum.norm }
                RowSum.store(isDone ? .zero : sum.lanes, &lanes, row.slot)
            }
            element += run
        }
    }

    /// - Parameters:
    ///   - values: A part of a matrix's row. Its squares are added to the norms from `first` on.
    ///   - isLast: `true` for the last row.
    private static func addSquares(
        of values: RawSpan,
        to norms: inout MutableSpan<Float>,
        from first: Int,
        isLast: Bool
    ) {
        let stride = MemoryLayout<Float>.stride
        for index in 0..<values.byteCount / stride {
            let value = values.unsafeLoadUnaligned(fromByteOffset: index * stride, as: Float.self)
            let sum = norms[first + index] + value * value
            norms[first + index] = isLast ? sum.squareRoot() : sum
        }
    }
}

/// The sum of squares of a row's elements, so far.
private struct RowSum {
    static let byteCount = MemoryLayout<SIMD8<Float>>.stride

    /// Eight partial sums; after the last group of eight elements, lane 0 holds their total.
    private(set) var lanes: SIMD8<Float>
    /// Number of elements that have been added.
    private(set) var place: Int
    private let length: Int

    static func load(_ memory: borrowing MutableSpan<Float>, _ slot: Int) -> SIMD8<Float> {
        var lanes = SIMD8<Float>()
        for lane in 0..<8 { lanes[lane] = memory[8 * slot + lane] }
        return lanes
    }

    static func store(_ lanes: SIMD8<Float>, _ memory: inout MutableSpan<Float>, _ slot: Int) {
        for lane in 0..<8 { memory[8 * slot + lane] = lanes[lane] }
    }

    init(lanes: SIMD8<Float>, place: Int, length: Int) {
        self.lanes = lanes
        self.place = place
        self.length = length
    }

    mutating func add(_ values: RawSpan) {
        var values = values
        /// End of the elements that are added in lanes.
        let whole = length - length % 8
        while values.byteCount > 0 {
            if place % 8 == 0, place < whole, values.byteCount >= RowSum.byteCount {
                let eight = values.unsafeLoadUnaligned(as: SIMD8<Float>.self)
                lanes += eight * eight
                place += 8
                values = values.extracting(droppingFirst: RowSum.byteCount)
            } else {
                add(values.unsafeLoadUnaligned(as: Float.self), whole)
                values = values.extracting(droppingFirst: MemoryLayout<Float>.stride)
            }
            if place == whole { for lane in 1..<8 { lanes[0] += lanes[lane] } }
        }
    }

    private mutating func add(_ value: Float, _ whole: Int) {
        if length == 1 {
            // PyTorch takes the absolute value: the root of a square would be 0 if the square underflows.
            lanes[0] = value
        } else if place < whole {
            lanes[place % 8] += value * value
        } else if length - whole >= 4, place < whole + 4 {
            lanes[0] += value * value
        } else {
            lanes[0].addProduct(value, value)
        }
        place += 1
    }

    var norm: Float { length == 1 ? lanes[0].magnitude : lanes[0].squareRoot() }
}
