/// A part of a tensor of a known shape: a ``Slice`` applied to the shape. The region's elements are in row-major order.
struct Region: Sendable, Equatable {
    /// The region's shape.
    let shape: Shape
    /// The region's indices along each dimension of the tensor.
    let ranges: [Range<Int>]
    /// Number of elements in a run: elements that are adjacent in the tensor and in the region.
    let runLength: Int
    /// Number of runs along a dimension and distance between their starts, outermost dimension first.
    private let levels: [(count: Int, stride: Int)]
    private let firstElement: Int

    /// - Parameter isStrict: Refuses ends that lie outside of the tensor instead of cutting them off.
    /// - Throws: `refused` for more items than dimensions, and for an end outside of the tensor if `isStrict`.
    init(_ slice: Slice, of tensor: Shape, isStrict: Bool = false) throws(InitError) {
        guard slice.items.count <= tensor.rank else {
            throw InitError(
                .refused,
                [],
                "has \(slice.items.count) items, but the shape \(tensor) \(tensor.rank) dimensions"
            )
        }
        for (item, size) in zip(slice.items, tensor.dimensions) where isStrict && !item.isWithin(size) {
            throw InitError(.refused, [], "\(slice) reaches outside of the shape \(tensor)")
        }
        ranges = tensor.dimensions.enumerated().map { dimension, size in
            slice.items.indices.contains(dimension) ? slice.items[dimension].range(of: size) : 0..<size
        }
        shape = Shape(unchecked: ranges.map(\.count))
        guard shape.elementCount > 0 else {
            (runLength, levels, firstElement) = (1, [], 0)
            return
        }
        // Elements from one index to the next, from the innermost dimension outwards.
        var (stride, first, run) = (1, 0, 1)
        var isContiguous = true
        var levels: [(count: Int, stride: Int)] = []
        for (range, size) in zip(ranges, tensor.dimensions).reversed() {
            if isContiguous { run *= range.count } else if range.count > 1 { levels.append((range.count, stride)) }
            isContiguous = isContiguous && range.count == size
            first += range.lowerBound * stride
            stride *= size
        }
        runLength = run
        self.levels = levels.reversed()
        firstElement = first
    }

    /// `true` if the region's elements follow each other in the tensor without a gap.
    var isContiguous: Bool { levels.isEmpty }

    /// Finds the place of an element of the tensor.
    ///
    /// - Returns: The element's index in the region (`nil` if it is outside), and the number of elements from this one
    ///   to the end of its run or gap.
    func locate(_ element: Int) -> (index: Int?, count: Int) {
        guard shape.elementCount > 0 else { return (nil, .max) }
        guard element >= firstElement else { return (nil, firstElement - element) }
        var rest = element - firstElement
        var run = 0
        for (depth, level) in levels.enumerated() {
            let (index, remainder) = rest.quotientAndRemainder(dividingBy: level.stride)
            guard index < level.count else {
                // Behind the last run of this level: the next run begins with the next index of the level around it.
                return gap(from: element, to: levels[depth...].reduce(run + 1) { $0 * $1.count })
            }
            run = run * level.count + index
            rest = remainder
        }
        return rest < runLength
            ? (run * runLength + rest, runLength - rest) : gap(from: element, to: run + 1)
    }

    private func gap(from element: Int, to run: Int) -> (index: Int?, count: Int) {
        (nil, run < runCount ? firstElement(ofRun: run) - element : .max)
    }

    static func == (left: Region, right: Region) -> Bool {
        left.shape == right.shape && left.firstElement == right.firstElement && left.runLength == right.runLength
            && left.levels.elementsEqual(right.levels, by: ==)
    }

    var runCount: Int { shape.elementCount / runLength }

    /// The smallest distance between the starts of two runs, in elements of the tensor; 0 for a single run.
    var runDistance: Int { levels.last?.stride ?? 0 }

    /// The element of the tensor that a run begins with.
    func firstElement(ofRun run: Int) -> Int {
        var element = firstElement
        var rest = run
        for level in levels.reversed() {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: level.count)
            element += remainder * level.stride
            rest = quotient
        }
        return element
    }
}
