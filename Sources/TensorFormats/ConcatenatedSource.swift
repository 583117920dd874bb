public import ByteSource

/// A source of bytes in memory.
public final class BytesSource: ByteSource {
    private let bytes: [UInt8]

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    public var byteCount: Int { bytes.count }

    public func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        guard position >= 0, position < bytes.count else { return 0 }
        let bytes = self.bytes
        return destination.copy(bytes.span.bytes.extracting(position...))
    }
}

/// Sources one after the other. Each is made when reading first reaches it and dropped when reading moves on, so that a
/// model of many tensors streams in the memory of one tensor.
public final class ConcatenatedSource: ByteSource {
    /// One of the sources.
    public struct Part {
        public let byteCount: Int
        public let make: () -> any ByteSource

        /// - Parameter make: Makes a source of that many bytes. It is called again when reading returns to the part.
        public init(byteCount: Int, make: @escaping () -> any ByteSource) {
            self.byteCount = byteCount
            self.make = make
        }

        public static func bytes(_ bytes: [UInt8]) -> Part {
            Part(byteCount: bytes.count) { BytesSource(bytes) }
        }
    }

    public let byteCount: Int

    /// Parts that have bytes, and the position at which each of them ends.
    private let parts: [Part]
    private let ends: [Int]
    private var current: (index: Int, source: any ByteSource)?

    /// Parts that one call may begin: making a source can cost a seek in the generator.
    private static let partsPerRead = 8

    /// - Throws: `tooLarge` if the bytes of all parts cannot be counted in 63 bits.
    public init(_ parts: [Part]) throws(FormatError) {
        self.parts = parts.filter { $0.byteCount > 0 }
        var ends: [Int] = []
        ends.reserveCapacity(self.parts.count)
        var end = 0
        for part in self.parts {
            let overflow: Bool
            (end, overflow) = end.addingReportingOverflow(part.byteCount)
            guard !overflow else { throw .tooLarge("the parts of the body are over 2^63 − 1 bytes together") }
            ends.append(end)
        }
        self.ends = ends
        byteCount = end
    }

    public func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        guard position >= 0, position < byteCount else { return 0 }
        var index = part(at: position)
        var offset = position - (ends[index] - parts[index].byteCount)
        var written = 0
        var begun = 0
        while index < parts.count, written < destination.byteCount {
            if current?.index != index {
                guard begun < Self.partsPerRead else { break }
                begun += 1
                // Dropped before the next source is made, so that two are never alive at once.
                current = nil
                current = (index, parts[index].make())
            }
            guard let source = current?.source else { break }
            let wanted = min(destination.byteCount - written, parts[index].byteCount - offset)
            var room = destination._mutatingExtracting(written..<written + wanted)
            let count = source.read(at: offset, into: &room)
            written += count
            // After a short read, the source has done as much work as one call may do.
            guard count == wanted else { break }
            offset += count
            if offset == parts[index].byteCount {
                index += 1
                offset = 0
            }
        }
        return written
    }

    /// The part that holds a position below `byteCount`.
    private func part(at position: Int) -> Int {
        if let current, position < ends[current.index],
            position >= ends[current.index] - parts[current.index].byteCount
        {
            return current.index
        }
        var low = 0
        var high = ends.count - 1
        while low < high {
            let middle = (low + high) / 2
            if ends[middle] <= position { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
