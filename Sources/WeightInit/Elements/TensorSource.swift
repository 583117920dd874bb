internal import ByteSource
internal import TorchRandom

/// Makes the elements of one tensor, beginning at any element.
protocol ElementSource: AnyObject {
    /// Writes the first elements of `range` to the front of `destination`, at any alignment.
    ///
    /// - Parameters:
    ///   - range: Not empty, within the tensor; `destination` has room for all of it.
    /// - Returns: Number of elements written, and the work this took, in generator words. The number is 0 if the first
    ///   element takes more than ``TensorSource/workPerRead``; the next call then continues with this element.
    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int)
}

/// The bytes of one tensor, little-endian and row-major, over a source of elements.
final class TensorSource: ByteSource {
    let byteCount: Int
    private let itemSize: Int
    private let elements: any ElementSource
    /// Kept alive as long as this source may read it, so that its owner can tell that it is in use.
    private let preparation: Preparation?
    private let workPerElement: Int
    /// The last element of which a part was read, kept because the rest is often read next.
    private var partial: (element: Int, bytes: [UInt8])?

    /// Work after which a read returns, in generator words.
    static let workPerRead = 1 << 19

    /// - Parameter workPerElement: Least work of each element, in generator words.
    init(
        elementCount: Int,
        itemSize: Int,
        elements: any ElementSource,
        preparation: Preparation? = nil,
        workPerElement: Int = 1
    ) {
        byteCount = elementCount * itemSize
        self.itemSize = itemSize
        self.elements = elements
        self.preparation = preparation
        self.workPerElement = workPerElement
    }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let end = position + min(destination.byteCount, byteCount - position)
        var offset = position
        var work = 0
        while offset < end, work < TensorSource.workPerRead {
            let element = offset / itemSize
            let within = offset - element * itemSize
            let whole = min((end - offset) / itemSize, max(1, (TensorSource.workPerRead - work) / workPerElement))
            if within == 0, whole > 0 {
                let from = offset - position
                var rest = destination._mutatingExtracting(from..<from + whole * itemSize)
                let filled = elements.fill(element..<element + whole, into: &rest)
                offset += filled.elements * itemSize
                work += filled.work
            } else {
                guard let bytes = bytes(of: element, &work) else { break }
                for index in within..<min(itemSize, within + end - offset) {
                    destination.storeBytes(of: bytes[index], toByteOffset: offset - position, as: UInt8.self)
                    offset += 1
                }
            }
        }
        return offset - position
    }

    private func bytes(of element: Int, _ work: inout Int) -> [UInt8]? {
        if let partial, partial.element == element { return partial.bytes }
        var bytes = [UInt8](repeating: 0, count: itemSize)
        var storage = bytes.mutableSpan
        var span = storage.mutableBytes
        let filled = elements.fill(element..<element + 1, into: &span)
        work += filled.work
        guard filled.elements == 1 else { return nil }
        partial = (element, bytes)
        return bytes
    }
}
