import ByteSource

/// The elements of a source, one after the other.
struct ElementReader<Bits: FixedWidthInteger & UnsignedInteger & BitwiseCopyable> {
    private let source: any ByteSource
    private var position = 0
    /// Elements as the source gave them, little-endian.
    private(set) var buffer: [Bits]
    /// Elements in the buffer, of which those before `nextIndex` have been taken.
    private var count = 0
    var nextIndex = 0
    /// Bytes of an incomplete element, behind the last complete one.
    private var partialByteCount = 0
    private var lastReadWasShort = false

    init(_ source: any ByteSource) {
        self.source = source
        let capacity = 64 << 10
        let itemSize = Bits.bitWidth / 8
        buffer = Array(repeating: 0, count: max(1, min(capacity, source.byteCount) / itemSize))
    }

    /// Elements that can be taken without reading.
    var available: Int { count &- nextIndex }

    /// `true` after the last element has been taken.
    var isAtEnd: Bool { available == 0 && position == source.byteCount }

    /// `true` if there is an element; reads the source at most once.
    ///
    /// After a short read, which means that the source has worked for long, one call returns `false` without reading.
    mutating func isReady() -> Bool {
        guard available == 0 else { return true }
        if lastReadWasShort {
            lastReadWasShort = false
        } else {
            fill()
        }
        return available > 0
    }

    private mutating func fill() {
        if partialByteCount > 0 { buffer[0] = buffer[count] }
        let itemSize = Bits.bitWidth / 8
        let wanted = min(buffer.count * itemSize - partialByteCount, source.byteCount - position)
        guard wanted > 0 else { return }
        let (source, start, offset) = (source, position, partialByteCount)
        var elements = buffer.mutableSpan
        var bytes = elements.mutableBytes
        var room = bytes._mutatingExtracting(offset..<offset + wanted)
        let read = source.read(at: start, into: &room)
        position += read
        lastReadWasShort = read < wanted
        count = (offset + read) / itemSize
        partialByteCount = (offset + read) % itemSize
        nextIndex = 0
    }
}
