extension ByteStream {
    /// Reads to the end, for a reply that is short enough to be sent with its length.
    ///
    /// - Parameter piece: Bytes read at a time.
    /// - Returns: `nil` if there are more than `limit` bytes. The stream is then partly read and of no further use.
    public func collected(limit: Int = .max, piece: Int = 4096) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: piece)
        while true {
            var room = buffer.mutableSpan
            var rawRoom = room.mutableBytes
            guard let count = read(into: &rawRoom) else { return bytes }
            guard bytes.count + count <= limit else { return nil }
            bytes.append(contentsOf: buffer[..<count])
        }
    }
}
