import ByteSource
import CHTTPDaemon
import Glibc
import HTTPExchange

/// All of a small body: handed over whole, so that head and body go out in one piece, with one system call. Several responses
/// can read from it.
///
/// Sendable because nobody writes to it once it is there.
final class SmallBody: @unchecked Sendable {
    /// Bytes.
    static let largestSize = 64 << 10
    /// Bytes up to which a body belongs to its connection's own memory.
    static let uncountedSize = 4 << 10

    // Not an array's, which may move.
    private let memory: UnsafeMutableRawBufferPointer
    /// Counted for as long as this is there.
    private let memoryHeld: [BodyMemory.Block]

    /// - Parameter held: What counts for as long as the body is there.
    /// - Returns: `nil` for a body that is not small, has nothing in it, or takes more work than one call may do, and if there is
    ///   no memory for it.
    init?(_ body: ResponseBody, holding held: [BodyMemory.Block] = []) {
        guard let count = body.byteCount, 1...Self.largestSize ~= count, let start = malloc(count) else { return nil }
        memory = UnsafeMutableRawBufferPointer(start: start, count: count)
        memoryHeld = held
        switch body {
        case .bytes(let bytes):
            memory.copyBytes(from: bytes)
        case .source(let source, let range):
            var destination = memory.mutableBytes
            guard source.read(at: range.lowerBound, into: &destination) == count else { return nil }
        case .empty, .stream, .unsent:
            return nil
        }
    }

    deinit {
        free(memory.baseAddress)
    }

    var count: Int { memory.count }

    /// A response over it; `nil` where the library makes none.
    func makeResponse() -> OpaquePointer? {
        guard let start = memory.baseAddress else { return nil }
        // Released at the end of the response.
        let owner = Unmanaged.passRetained(self).toOpaque()
        return c_httpd_response_of_shared_bytes(start, memory.count, owner) { owner in
            Unmanaged<SmallBody>.fromOpaque(owner).release()
        }
    }
}
