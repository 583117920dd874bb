import CHTTPDaemon
import Glibc
import HTTPExchange
import HTTPTypes
import Synchronization

/// Small responses, ready to be sent, to repeated requests with the same head.
///
/// Workers, caches and pages often repeat a request byte for byte. A repeated request is answered without being parsed:
/// its whole head is compared with the kept heads, and the response gets a new request ID.
///
/// The cache is bounded in bytes and in number. It keeps a reply when its request comes a second time, so that requests
/// that never repeat cost only a lookup.
final class ReplyCache: Sendable {
    /// The longest head, in bytes, that is looked up: as much as fits on the stack.
    private static let longestKey = 1024
    /// A power of two.
    private static let slotCount = 1024

    private struct Slot {
        var reply: KeptReply?
        /// Hash of the last head for this slot.
        var hash: UInt64 = 0
    }

    private struct State {
        /// Indexed by the lowest bits of the hash.
        var slots = [Slot](repeating: Slot(), count: ReplyCache.slotCount)
        var matches = 0
    }

    private let limit: Int
    private let state = Mutex(State())
    /// Bytes of all replies, including those that are no longer kept but still being sent to slow readers.
    let memory = KeptMemory()

    /// - Parameter limit: Bytes; 0 keeps nothing.
    init(limit: Int) {
        self.limit = limit
    }

    /// Number of matched requests, and bytes of the kept replies.
    var load: (Int, Int) { (state.withLock { $0.matches }, memory.byteCount) }

    enum Match {
        case kept(KeptReply)
        /// The head has come a second time: its reply is worth keeping under this key.
        case again([UInt8])
        case new
    }

    /// Looks for the reply to a request.
    func match(
        _ handle: OpaquePointer,
        _ method: UnsafePointer<CChar>,
        _ version: UnsafePointer<CChar>,
        target: [UInt8]
    ) -> Match {
        guard limit > 0 else { return .new }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.longestKey) { bytes in
            // All pointers live as long as this call.
            let size = target.withUnsafeBytes { target in
                bytes.baseAddress.map {
                    let target = target.assumingMemoryBound(to: CChar.self)
                    return c_httpd_head_key(handle, method, version, target.baseAddress, target.count, $0, bytes.count)
                }
            }
            guard let size, size > 0 else { return .new }
            return match(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<size]))
        }
    }

    private func match(_ key: UnsafeRawBufferPointer) -> Match {
        let hash = Self.hash(key)
        let slot = Self.slot(hash)
        return state.withLock { state in
            if let reply = state.slots[slot].reply, reply.has(key) {
                state.matches += 1
                return .kept(reply)
            }
            let isMetAgain = state.slots[slot].hash == hash
            state.slots[slot].hash = hash
            return isMetAgain ? .again(Array(key)) : .new
        }
    }

    /// Keeps a reply in its slot, in place of another one. If all replies take more than the limit, the cache is
    /// emptied; replies in demand soon return.
    ///
    /// - Returns: False if replies that are still being sent leave no room for it.
    func keep(_ reply: KeptReply) -> Bool {
        let slot = Self.slot(reply.key.withUnsafeBytes(Self.hash))
        return state.withLock { state in
            state.slots[slot].reply = nil
            if memory.byteCount > limit {
                state = State(matches: state.matches)
            }
            guard memory.byteCount <= limit else { return false }
            state.slots[slot].reply = reply
            return true
        }
    }

    private static func slot(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash) & (slotCount - 1)
    }

    private static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        // A client that sends colliding heads only evicts kept replies.
        key.baseAddress.map { c_httpd_hash($0.assumingMemoryBound(to: UInt8.self), key.count) } ?? 0
    }
}

/// Bytes of kept replies.
final class KeptMemory: Sendable {
    private let bytes = Atomic(0)

    var byteCount: Int { bytes.load(ordering: .relaxed) }

    fileprivate func add(_ count: Int) { bytes.add(count, ordering: .relaxed) }
}

/// A response to send again, and the library's handles of it. Each handle serves one exchange at a time.
final class KeptReply: Sendable {
    /// Maximum bytes of a reply besides its key and its body: its fields and idle handles.
    private static let overhead = 8 << 10
    /// Maximum number of idle handles.
    private static let idleLimit = 4

    /// A handle, and the request ID with which it was last sent.
    ///
    /// Sendable because at most one exchange uses it at a time.
    struct Handle: @unchecked Sendable {
        let response: OpaquePointer
        let status: UInt32
        var id: String

        /// Queues the response. False if the library rejects it.
        func queue(on connection: OpaquePointer) -> Bool {
            c_httpd_queue(connection, status, response)
        }
    }

    let key: [UInt8]
    private let memory: KeptMemory
    private let byteCount: Int
    /// Method and fields of every request that gets this reply.
    private let method: HTTPRequest.Method
    private let requestFields: HeaderFields
    private let head: ResponseHead
    private let body: SmallBody
    private let note: ResponseNote
    private let naming: ResponseNaming
    private let idle = Mutex<[Handle]>([])

    /// - Parameter memory: Counts the reply's bytes until the reply is freed.
    /// - Returns: `nil` if the response is not small, has no body, or is not valid for other requests.
    init?(_ response: OutgoingResponse, to request: RequestHead, key: [UInt8], memory: KeptMemory) {
        guard let naming = response.naming, let body = SmallBody(response.body) else { return nil }
        self.key = key
        method = request.method
        requestFields = request.fields
        self.naming = naming
        head = response.head
        note = response.note
        self.body = body
        byteCount = key.count + body.count + Self.overhead
        self.memory = memory
        memory.add(byteCount)
    }

    deinit {
        memory.add(-byteCount)
        for handle in idle.withLock({ $0 }) { c_httpd_response_release(handle.response) }
    }

    func has(_ key: UnsafeRawBufferPointer) -> Bool {
        self.key.withUnsafeBytes { own in
            guard own.count == key.count, let mine = own.baseAddress, let other = key.baseAddress else { return false }
            return memcmp(mine, other, own.count) == 0
        }
    }

    /// The response to one request, with a new request ID; `nil` if the library creates none.
    func lend() -> Connection.Repetition? {
        let id = naming.makeID()
        guard var handle = idle.withLock({ $0.popLast() }) ?? make() else { return nil }
        handle.id = id
        let isNamed = naming.field.rawName.withCString { name in
            id.withCString { c_httpd_response_change_field(handle.response, name, $0) }
        }
        guard isNamed else {
            c_httpd_response_release(handle.response)
            return nil
        }
        return Connection.Repetition(reply: self, handle: handle)
    }

    /// A handle with the request ID of the first response.
    private func make() -> Handle? {
        guard let response = body.makeResponse() else { return nil }
        guard head.fields.add(to: response) else {
            c_httpd_response_release(response)
            return nil
        }
        return Handle(response: response, status: UInt32(head.status.code), id: note.id)
    }

    /// Takes a handle back when the library is done with it, and describes its exchange in `end`. Without a status, the
    /// response was not sent.
    fileprivate func complete(_ end: inout ExchangeEnd, _ handle: Handle) {
        end.method = method
        end.fields = requestFields
        if end.status != nil {
            end.note = note
            end.note?.id = handle.id
            end.bodyByteCount = body.count
        }
        let isKept = idle.withLock { idle in
            guard idle.count < Self.idleLimit else { return false }
            idle.append(handle)
            return true
        }
        if !isKept { c_httpd_response_release(handle.response) }
    }
}

extension Connection.Repetition {
    /// Describes the exchange in `end`, and returns the handle.
    func complete(_ end: inout ExchangeEnd) {
        reply.complete(&end, handle)
    }
}
