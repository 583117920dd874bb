import CHTTPDaemon
import Glibc
import Synchronization

/// Memory of request bodies, from their first bytes until their requests have been answered.
final class UploadMemory: Sendable {
    private let limit: Int
    private let taken = Atomic(0)

    /// - Parameter limit: Bytes.
    init(limit: Int) {
        self.limit = limit
    }

    /// Bytes that are taken.
    var held: Int { taken.load(ordering: .relaxed) }

    fileprivate func take(_ byteCount: Int) -> Bool {
        let (_, sum) = taken.add(byteCount, ordering: .relaxed)
        if sum <= limit { return true }
        giveBack(byteCount)
        return false
    }

    fileprivate func giveBack(_ byteCount: Int) {
        taken.subtract(byteCount, ordering: .relaxed)
    }
}

/// A request body that grows as it arrives. A failed allocation does not end the process. The memory counts as taken
/// until this object is freed.
///
/// Memory is taken for bytes that have arrived and for as many again, not for the length that the client announces.
final class ReceivedBody {
    private static let smallestCapacity = 4 << 10

    private let memory: UploadMemory
    private let limit: Int
    private var start: UnsafeMutableRawPointer?
    private(set) var count = 0
    private var capacity = 0

    /// - Parameter limit: Maximum number of bytes.
    init(in memory: UploadMemory, limit: Int) {
        self.memory = memory
        self.limit = limit
    }

    deinit {
        free(start)
        memory.giveBack(capacity)
    }

    /// Adds bytes; the caller keeps to the limit. False if there is no memory for them.
    func append(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let source = bytes.baseAddress, grow(to: count + bytes.count), let start else { return bytes.isEmpty }
        (start + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
        return true
    }

    private func grow(to needed: Int) -> Bool {
        guard needed > capacity else { return true }
        let larger = max(needed, min(limit, max(2 * capacity, Self.smallestCapacity)))
        guard memory.take(larger - capacity) else { return false }
        guard let moved = realloc(start, larger) else {
            memory.giveBack(larger - capacity)
            return false
        }
        (start, capacity) = (moved, larger)
        return true
    }

    /// Moves the bytes to an array, and keeps counting their memory. `nil` if there is no memory for the array.
    func takeBytes() -> [UInt8]? {
        guard count > 0 else { return [] }
        guard c_httpd_has_memory(count) else { return nil }
        let bytes = [UInt8](UnsafeRawBufferPointer(start: start, count: count))
        free(start)
        start = nil
        return bytes
    }
}
