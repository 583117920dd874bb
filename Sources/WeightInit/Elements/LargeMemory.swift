internal import ByteSource
private import Glibc

/// Memory that may be too large to allocate: a failed allocation throws an error here, but ends the process for an
/// array.
///
/// Sendable because only its creator writes to it, before it is shared.
final class LargeMemory: @unchecked Sendable {
    let byteCount: Int
    // Owned. Swift's own containers cannot fail to be allocated.
    private let start: UnsafeMutableRawPointer

    /// Allocates zeros, aligned for every element type.
    ///
    /// - Parameter purpose: The memory's use, as the error message names it.
    /// - Throws: `outOfMemory`.
    init(byteCount: Int, for purpose: String) throws(InitError) {
        guard let start = calloc(max(1, byteCount), 1) else {
            throw .outOfMemory(purpose, byteCount: byteCount)
        }
        self.byteCount = byteCount
        self.start = start
    }

    deinit {
        free(start)
    }

    func withBytes(_ body: (RawSpan) -> Void) {
        body(RawSpan(_unsafeStart: start, byteCount: byteCount))
    }

    func withMutableBytes<Result>(_ body: (inout MutableRawSpan) -> Result) -> Result {
        var span = MutableRawSpan(_unsafeStart: start, byteCount: byteCount)
        return body(&span)
    }

    /// - Parameter type: Type of the elements; a remainder too short for an element is left out.
    func withMutableElements<Element: BitwiseCopyable, Result>(
        of type: Element.Type,
        _ body: (inout MutableSpan<Element>) -> Result
    ) -> Result {
        let count = byteCount / MemoryLayout<Element>.stride
        var span = UnsafeMutableBufferPointer(start: start.bindMemory(to: type, capacity: count), count: count)
            .mutableSpan
        return body(&span)
    }
}

/// The elements of a tensor that is in memory as a whole.
final class HeldElements: ElementSource {
    private let memory: LargeMemory
    private let itemSize: Int

    init(_ memory: LargeMemory, itemSize: Int) {
        self.memory = memory
        self.itemSize = itemSize
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let from = range.lowerBound * itemSize
        memory.withBytes { destination.copy($0.extracting(from..<from + range.count * itemSize)) }
        return (range.count, range.count)
    }
}
