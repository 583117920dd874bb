import ByteText
@testable import WeightInit

/// A slice of a tensor: a byte for the rank, the sizes, then the slice's notation. A size takes a byte, and every
/// element is checked; if the highest bit of the rank is set, a size takes eight bytes.
enum SliceTarget {
    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let rank = Int(first & 7)
        let sizeWidth = first < 128 ? 1 : 8
        let dimensions = (0..<rank).map { dimension in
            let size = bytes.dropFirst(1 + dimension * sizeWidth).prefix(sizeWidth).reduce(0) { $0 << 8 | UInt64($1) }
            return sizeWidth == 1 ? Int(size % 6) : Int(size >> 1)
        }
        let text = Text(decoding: bytes.dropFirst(1 + rank * sizeWidth))
        do {
            let slice = try Slice(text)
            check(try Slice(Text(slice.description)) == slice, "\(text) is \(slice)")
            let shape = try Shape(dimensions)
            guard slice.items.count <= rank else {
                check(
                    (try? Region(slice, of: shape)) == nil,
                    "there are more items than dimensions: \(text) of \(shape)"
                )
                return
            }
            let block = try Region(slice, of: shape)
            check(zip(block.shape.dimensions, shape.dimensions).allSatisfy(<=), "\(block.shape) is no part of \(shape)")
            guard shape.elementCount <= 1 << 12, block.shape.elementCount > 0 else { return }
            let elements = (0..<block.runCount).flatMap { run in
                (0..<block.runLength).map { block.firstElement(ofRun: run) + $0 }
            }
            check(elements == expected(slice, of: dimensions), "\(text) of \(shape)")
        } catch {
            check([.invalid, .tooLarge].contains(error.kind), "\(error)")
        }
    }

    /// The elements of the block, one index at a time, by the rule for slices in Python's documentation of sequences.
    private static func expected(_ slice: Slice, of dimensions: [Int]) -> [Int] {
        var elements = [0]
        for (dimension, size) in dimensions.enumerated() {
            let item = slice.items.count > dimension ? slice.items[dimension] : Slice.Item()
            let indices = (0..<size).filter { index in
                func isReached(_ end: Int?, or missing: Bool, by reached: (Int, Int) -> Bool) -> Bool {
                    guard let end else { return missing }
                    return reached(index, end < 0 ? end + size : end)
                }
                return isReached(item.start, or: true, by: >=) && isReached(item.end, or: true, by: <)
            }
            elements = elements.flatMap { element in indices.map { element * size + $0 } }
        }
        return elements
    }
}
