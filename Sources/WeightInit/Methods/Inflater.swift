private import CZlib

/// Decompression by zlib into a known number of bytes.
package enum Inflater {
    /// Largest number of bytes that a byte of DEFLATE can stand for.
    private static let largestRatio = 1032

    /// Decompresses a zlib stream (RFC 1950).
    ///
    /// - Parameter byteCount: Required number of decompressed bytes; no more bytes are ever made.
    /// - Throws: `invalid` for a broken stream, `refused` for another size.
    package static func inflate(zlib stream: [UInt8], byteCount: Int) throws(InitError) -> [UInt8] {
        guard byteCount / largestRatio <= stream.count else {
            throw InitError(.refused, [], "holds fewer than the \(byteCount) bytes of the shape and the dtype")
        }
        var bytes = [UInt8](repeating: 0, count: max(1, byteCount))
        var written = uLongf(bytes.count)
        var read = uLong(stream.count)
        let status = uncompress2(&bytes, &written, stream, &read)
        switch status {
        case Z_OK where written == byteCount && read == stream.count: break
        case Z_OK where read < stream.count:
            throw InitError(.invalid, [], "has \(stream.count - Int(read)) bytes after the end of its zlib stream")
        case Z_OK: throw InitError(.refused, [], Literal.sizes(Int(written), byteCount))
        // The output buffer is full, but the stream has not ended.
        case Z_BUF_ERROR where written == bytes.count:
            throw InitError(.refused, [], "holds more than the \(byteCount) bytes of the shape and the dtype")
        case Z_BUF_ERROR: throw InitError(.invalid, [], "is not a zlib stream: it ends too early")
        case Z_MEM_ERROR: throw InitError(.tooLarge, [], "cannot be decompressed: there is not enough memory")
        default: throw InitError(.invalid, [], "is not a zlib stream")
        }
        if byteCount == 0 { bytes = [] }
        return bytes
    }
}
