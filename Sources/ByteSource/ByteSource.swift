/// A body of known length that can be read from any position.
///
/// A source belongs to one exchange: it keeps a cursor, so that reading on from where the last call ended costs no
/// seek, and it is used by one thread at a time.
public protocol ByteSource: AnyObject {
    /// Length of the whole body in bytes.
    var byteCount: Int { get }

    /// Writes the bytes from `position` on to the front of `destination`.
    ///
    /// A call stops after a bounded amount of work (about half a million generator words), so that no caller is held
    /// for long. It may therefore write fewer bytes than fit, or none yet: the next call for the same position
    /// continues the work.
    ///
    /// - Parameters:
    ///   - position: Bytes from the start of the body, `0 ... byteCount`.
    ///   - destination: Not empty.
    /// - Returns: The number of bytes written. Before the end of the body, 0 means that the first byte takes more work
    ///   than one call may do.
    func read(at position: Int, into destination: inout MutableRawSpan) -> Int
}

/// A body whose length is known only when its end is reached, read from front to back once.
public protocol ByteStream: AnyObject {
    /// Writes the next bytes to the front of `destination`, which has room for at least 64 bytes.
    ///
    /// - Returns: The number of bytes written, 0 if the first byte takes more work than one call may do; `nil` at the
    ///   end.
    func read(into destination: inout MutableRawSpan) -> Int?
}
