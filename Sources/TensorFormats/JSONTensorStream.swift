public import ByteSource
public import WeightInit

/// A tensor's numbers as JSON: lists nested as the shape is, after a prefix.
///
/// A scalar is a bare number. Empty lists stand where NumPy's `tolist` has them: `[[],[]]` for a shape of `[2, 0]`,
/// `[]` for `[0, 3]`. Numbers are written in the fewest digits that read back as the same element, see ``NumberText``.
/// Memory does not depend on the size, and a call does no more work than its room requires.
public final class JSONTensorStream: ByteStream {
    private let stream: ChainedStream

    /// - Parameters:
    ///   - prefix: Bytes before the numbers, such as `{"data":`.
    ///   - source: The elements, little-endian and row-major.
    public init(prefix: [UInt8], source: any ByteSource, shape: Shape, dtype: DType) {
        stream = ChainedStream(count: 2) { index in
            guard index > 0 else { return BytesStream(prefix) }
            return NestedNumbers(dtype.element, source: source, shape: shape)
        }
    }

    public func read(into destination: inout MutableRawSpan) -> Int? {
        stream.read(into: &destination)
    }
}

/// The numbers and brackets. The class is not generic, because a generic class is compiled once for all types, with a
/// call for every number. The closure is compiled for each of the types named below.
private final class NestedNumbers: ByteStream {
    private let write: (inout MutableRawSpan) -> Int?

    @_specialize(where Element == Float32Element)
    @_specialize(where Element == Float64Element)
    @_specialize(where Element == Float16Element)
    @_specialize(where Element == BFloat16Element)
    init<Element: TensorElement>(_ element: Element.Type, source: any ByteSource, shape: Shape) {
        var printer = NestedNumberPrinter<Element>(source: source, shape: shape)
        write = { destination in printer.write(into: &destination) }
    }

    func read(into destination: inout MutableRawSpan) -> Int? {
        write(&destination)
    }
}

/// The state of `NestedNumbers`; a value, so that the loop over numbers is free of checks for exclusive access.
private struct NestedNumberPrinter<Element: TensorElement> {
    private var elements: ElementReader<Element.Bits>

    /// Elements of an innermost list; 1 for a scalar, which is no list.
    private let rowLength: Int
    private let depth: Int
    /// The dimensions outside the innermost lists, and where in them the current list is.
    private let outer: [Int]
    private var indices: [Int]

    private var leftInRow: Int
    private var isAtEnd = false
    /// Punctuation between two innermost lists: counts of `]` and `[`, and a comma.
    private var closing = 0
    private var hasComma = false
    private var opening: Int

    init(source: any ByteSource, shape: Shape) {
        // Nothing is written for the dimensions behind a dimension of 0.
        let written = shape.dimensions.firstIndex(of: 0).map { shape.dimensions[...$0] } ?? shape.dimensions[...]
        elements = ElementReader(source)
        depth = written.count
        opening = depth
        rowLength = written.last ?? 1
        leftInRow = rowLength
        outer = Array(written.dropLast())
        indices = outer.map { _ in 0 }
    }

    mutating func write(into destination: inout MutableRawSpan) -> Int? {
        let limit = destination.byteCount
        var end = 0
        while true {
            punctuate(&destination, &end)
            if isAtEnd, end == 0 { return nil }
            guard end < limit, !isAtEnd else { break }
            if leftInRow > 0 {
                guard elements.isReady() else {
                    if elements.isAtEnd, end == 0 { return nil }
                    break
                }
                let count = min(leftInRow, elements.available)
                let written = write(count, into: &destination, &end)
                elements.nextIndex &+= written
                leftInRow &-= written
                guard written == count else { break }
                guard leftInRow == 0 else { continue }
                // The comma behind the last element is overwritten.
                end &-= 1
            }
            endRow()
        }
        return end
    }

    /// Writes elements of the buffer, with a comma behind each.
    ///
    /// - Returns: The number of elements written, for which there was room.
    private func write(_ count: Int, into destination: inout MutableRawSpan, _ end: inout Int) -> Int {
        let powers = PowersOfTen.shared
        let numbers = elements.buffer.span
        let first = elements.nextIndex
        let last = first &+ count
        // Unsafe because the writers take a pointer, see `NumberText`. A number begins only where there is room for it.
        let (written, newEnd) = destination.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return (0, 0) }
            let lastStart = base + bytes.count - NumberText.room
            var out = base + end
            var next = first
            while next < last, out <= lastStart {
                out = Element.write(Element.Bits(littleEndian: numbers[next]), powers: powers, to: out)
                out.storeBytes(of: UInt8(ascii: ","), as: UInt8.self)
                out += 1
                next &+= 1
            }
            return (next &- first, out - base)
        }
        end = newEnd
        return written
    }

    /// Writes the punctuation between lists, as much as fits.
    private mutating func punctuate(_ destination: inout MutableRawSpan, _ end: inout Int) {
        let limit = destination.byteCount
        while closing > 0, end < limit {
            destination.storeBytes(of: UInt8(ascii: "]"), toByteOffset: end, as: UInt8.self)
            end &+= 1
            closing &-= 1
        }
        if hasComma, end < limit {
            destination.storeBytes(of: UInt8(ascii: ","), toByteOffset: end, as: UInt8.self)
            end &+= 1
            hasComma = false
        }
        while opening > 0, end < limit {
            destination.storeBytes(of: UInt8(ascii: "["), toByteOffset: end, as: UInt8.self)
            end &+= 1
            opening &-= 1
        }
    }

    /// Moves to the next innermost list.
    private mutating func endRow() {
        closing = min(depth, 1)
        for axis in outer.indices.reversed() {
            indices[axis] += 1
            if indices[axis] < outer[axis] {
                hasComma = true
                opening = closing
                leftInRow = rowLength
                return
            }
            indices[axis] = 0
            closing += 1
        }
        isAtEnd = true
    }
}
