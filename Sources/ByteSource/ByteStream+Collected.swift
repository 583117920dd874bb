extension ByteStream {
    /// Reads to the end, for a reply that is short enough to be sent with its length.
    ///
    /// - Parameters:
    ///   - piece: Bytes read at a time.
    ///   - expected: Bytes for which there is room from the start.
    /// - Returns: `nil` if there are more than `limit` bytes. The stream is then partly read and of no further use.
    public func collected(limit: Int = .max, piece: Int = 4096, expecting expected: Int = 0) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: max(piece, min(expected, limit)))
        var end = 0
        while true {
            if bytes.count - end < piece { bytes += [UInt8](repeating: 0, count: bytes.count) }
            var room = bytes.mutableSpan
            var rawRoom = room.mutableBytes
            var rest = rawRoom._mutatingExtracting(end..<end + piece)
            guard let count = read(into: &rest) else { break }
            guard end + count <= limit else { return nil }
            end += count
        }
        bytes.removeLast(bytes.count - end)
        return bytes
    }
}
