import ByteSource
import CHTTPDaemon
import Glibc
import HTTPExchange

/// A small body in one buffer, so that one system call sends head and body. Several responses can share it.
///
/// Sendable because nothing writes to it after its initialisation.
final class SmallBody: @unchecked Sendable {
    /// Largest size of a small body, in bytes.
    static let largestSize = 64 << 10
    /// Bytes up to which a body does not count against `BodyMemory`.
    static let uncountedSize = 4 << 10

    // Not an array, whose storage may move.
    private let memory: UnsafeMutableRawBufferPointer
    /// Memory that counts as taken as long as this body exists.
    private let memoryHeld: [BodyMemory.Block]

    /// - Parameter held: Memory that counts as taken as long as the body exists.
    /// - Returns: `nil` if the body is not small, is empty, or takes more work than one call may do, or if there is no
    ///   memory for it.
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

    /// A response with this body; `nil` if the library creates none.
    func makeResponse() -> OpaquePointer? {
        guard let start = memory.baseAddress else { return nil }
        // Released at the end of the response.
        let owner = Unmanaged.passRetained(self).toOpaque()
        return c_httpd_response_of_shared_bytes(start, memory.count, owner) { owner in
            Unmanaged<SmallBody>.fromOpaque(owner).release()
        }
    }
}
