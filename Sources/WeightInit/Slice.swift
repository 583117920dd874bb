/// A block of a tensor in NumPy's notation without steps: `0:512,:,-3:`.
///
/// Each item is `start:end`, of which either may be missing; a negative one counts from the end, and what lies outside
/// is cut off. Dimensions without an item are whole.
public struct Slice: Sendable, Equatable {
    struct Item: Sendable, Equatable {
        /// `nil` for 0.
        var start: Int?
        var end: Int?
    }

    /// Without whole ones at the end, so that equal notations are equal.
    let items: [Item]

    /// - Throws: `invalid` for another notation; indices of one element and steps are none.
    public init(_ text: String) throws(InitError) {
        let pieces = text.split(separator: ",", omittingEmptySubsequences: false)
        guard pieces.count <= Shape.maximumRank else {
            throw InitError(.invalid, [], "has \(pieces.count) items; at most \(Shape.maximumRank) are allowed")
        }
        var items: [Item] = []
        for piece in pieces where pieces.count > 1 || !piece.allSatisfy({ $0 == " " }) {
            items.append(try Item(piece))
        }
        while items.last == Item() { items.removeLast() }
        self.items = items
    }

    /// Whether it is all of any tensor.
    public var isWhole: Bool { items.isEmpty }
}

extension Slice: CustomStringConvertible {
    /// The shortest notation: `:512,:,-3:`
    public var description: String {
        items.map { ($0.start.map(String.init) ?? "") + ":" + ($0.end.map(String.init) ?? "") }.joined(separator: ",")
    }
}

extension Slice.Item {
    fileprivate init(_ text: Substring) throws(InitError) {
        let ends = text.split(separator: ":", omittingEmptySubsequences: false)
        guard ends.count != 1 else {
            let index = try Slice.Item.index(text)
            throw InitError(
                .invalid,
                [],
                index.map {
                    "\($0) would take a dimension away; ranges keep it: \($0):\($0 == -1 ? "" : String($0 &+ 1))"
                }
                    ?? "an item is empty; all of a dimension is written :"
            )
        }
        guard ends.count == 2 else {
            throw InitError(.invalid, [], "\(String(text).quotedForMessage) has a step; items are start:end")
        }
        start = try Slice.Item.index(ends[0])
        if start == 0 { start = nil }
        end = try Slice.Item.index(ends[1])
    }

    /// The integer, the nearest one where it is out of range, because no dimension is that long; `nil` for nothing.
    private static func index(_ text: Substring) throws(InitError) -> Int? {
        var digits = text.drop { $0 == " " }
        while digits.last == " " { digits.removeLast() }
        guard !digits.isEmpty else { return nil }
        let isNegative = digits.first == "-"
        let magnitude = isNegative ? digits.dropFirst() : digits
        guard !magnitude.isEmpty, magnitude.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw InitError(.invalid, [], "\(String(digits).quotedForMessage) is not an integer; items are start:end")
        }
        return Int(digits) ?? (isNegative ? -Int.max : Int.max)
    }

    /// The part of a dimension.
    fileprivate func range(of size: Int) -> Range<Int> {
        func position(_ index: Int) -> Int { min(max(index < 0 ? index + size : index, 0), size) }
        let first = position(start ?? 0)
        return first..<max(first, position(end ?? size))
    }
}

/// A block of a tensor of a known shape, row-major itself: what a ``Slice`` comes to.
struct Block: Sendable, Equatable {
    /// Its own shape.
    let shape: Shape
    /// Elements that follow each other in the tensor as they do in the block.
    let runLength: Int
    /// What lies between the starts of runs along a dimension, outermost first, and how many lie along it.
    private let levels: [(count: Int, stride: Int)]
    private let firstElement: Int

    /// - Throws: `refused` where there are more items than dimensions.
    init(_ slice: Slice, of tensor: Shape) throws(InitError) {
        guard slice.items.count <= tensor.rank else {
            throw InitError(
                .refused,
                [],
                "has \(slice.items.count) items, but the shape \(tensor) \(tensor.rank) dimensions"
            )
        }
        let ranges = tensor.dimensions.enumerated().map { dimension, size in
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

    static func == (left: Block, right: Block) -> Bool {
        left.shape == right.shape && left.firstElement == right.firstElement && left.runLength == right.runLength
            && left.levels.elementsEqual(right.levels, by: ==)
    }

    var runCount: Int { shape.elementCount / runLength }

    /// Elements of the tensor from the start of a run to that of the next, where they lie closest.
    var runDistance: Int { levels.last?.stride ?? 0 }

    /// The tensor's element that a run begins with.
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
