public import ByteSource

/// A stream of bytes in memory.
public final class BytesStream: ByteStream {
    private let bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    public func read(into destination: inout MutableRawSpan) -> Int? {
        guard position < bytes.count else { return nil }
        let bytes = self.bytes
        let count = destination.copy(bytes.span.bytes.extracting(position...))
        position += count
        return count
    }
}

/// Streams one after the other, each made when the one before it has ended.
public final class ChainedStream: ByteStream {
    private let count: Int
    private let make: (Int) -> any ByteStream
    private var next = 0
    private var current: (any ByteStream)?

    /// - Parameters:
    ///   - count: Number of streams.
    ///   - make: Makes one of them, given its index; called once for each, in order.
    public init(count: Int, make: @escaping (Int) -> any ByteStream) {
        self.count = count
        self.make = make
    }

    public func read(into destination: inout MutableRawSpan) -> Int? {
        var written = 0
        var begun = 0
        var hasGiven = false
        while written == 0 || destination.byteCount - written >= Self.leastRoom {
            guard let stream = current else {
                guard next < count else { return written > 0 ? written : nil }
                guard begun < Self.streamsPerRead else { break }
                current = make(next)
                next += 1
                begun += 1
                hasGiven = false
                continue
            }
            var room = destination._mutatingExtracting(written...)
            guard let count = stream.read(into: &room) else {
                current = nil
                continue
            }
            written += count
            // A stream is read once more after its first read, because it may be at its end. If it had more bytes, its
            // reads are short because they take long.
            if count == 0 || hasGiven { break }
            hasGiven = true
        }
        return written
    }

    /// Room for which a call reads on, so that small tensors do not make small reads. It is at least the room that
    /// every stream is promised.
    private static let leastRoom = 1024
    /// Streams that one call may begin: making one can cost a seek in the generator.
    private static let streamsPerRead = 8
}
