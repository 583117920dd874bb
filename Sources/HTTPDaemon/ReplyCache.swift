import CHTTPDaemon
import Glibc
import HTTPExchange
import HTTPTypes
import Synchronization

/// Small responses that every request with the same head gets, ready to be sent.
///
/// Of what workers, caches and pages ask, much has been asked before in the very same bytes. Such a request is answered without
/// being taken apart again: its head is compared with those kept, whole, and the response gets a name of its own.
///
/// Bounded in bytes and in number. What has been asked once is not kept, so that requests which are never the same twice cost
/// nothing but a look.
final class ReplyCache: Sendable {
    /// The longest head, in bytes, that is looked up: as much as fits on the stack.
    private static let longestKey = 1024
    /// A power of two.
    private static let slotCount = 1024

    private struct Slot {
        var reply: KeptReply?
        /// Of the head that was met last.
        var hash: UInt64 = 0
    }

    private struct State {
        /// By the lowest bits of the hash.
        var slots = [Slot](repeating: Slot(), count: ReplyCache.slotCount)
        var matches = 0
    }

    private let limit: Int
    private let state = Mutex(State())
    /// Of all replies that there are, those too that are no longer kept and still being sent to slow readers.
    let memory = KeptMemory()

    /// - Parameter limit: Bytes; 0 keeps nothing.
    init(limit: Int) {
        self.limit = limit
    }

    /// How many requests have been matched, and the bytes of what is kept.
    var load: (Int, Int) { (state.withLock { $0.matches }, memory.byteCount) }

    enum Match {
        case kept(KeptReply)
        /// Met for the second time: worth keeping the reply under this key.
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

    /// Keeps a reply in the place of another. Where all of them take too much, they go: what is still asked for comes back.
    ///
    /// - Returns: False where those that are being sent leave no room for it.
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
        // Who makes heads that collide only drives out what is kept.
        key.baseAddress.map { c_httpd_hash($0.assumingMemoryBound(to: UInt8.self), key.count) } ?? 0
    }
}

/// Bytes of kept replies.
final class KeptMemory: Sendable {
    private let bytes = Atomic(0)

    var byteCount: Int { bytes.load(ordering: .relaxed) }

    fileprivate func add(_ count: Int) { bytes.add(count, ordering: .relaxed) }
}

/// A response to send again, and the library's handles of it, each of which serves one exchange at a time.
final class KeptReply: Sendable {
    /// Bytes that each one takes besides its key and its body, at most: fields, and as many handles as are kept.
    private static let overhead = 8 << 10
    /// Handles that are kept while nobody needs them.
    private static let idleLimit = 4

    /// A handle, and the name that it was last sent under.
    ///
    /// Sendable because it belongs to one exchange, or to nobody.
    struct Handle: @unchecked Sendable {
        let response: OpaquePointer
        let status: UInt32
        var id: String

        /// Hands it to the library. False where that does not take it.
        func queue(on connection: OpaquePointer) -> Bool {
            c_httpd_queue(connection, status, response)
        }
    }

    let key: [UInt8]
    private let memory: KeptMemory
    private let byteCount: Int
    /// Of every request that gets this.
    private let method: HTTPRequest.Method
    private let requestFields: HTTPFields
    private let head: HTTPResponse
    private let body: SmallBody
    private let note: ResponseNote
    private let naming: ResponseNaming
    private let idle = Mutex<[Handle]>([])

    /// - Parameter memory: Counts it until it goes away.
    /// - Returns: `nil` for what is not small, has no body, or does not hold for other requests.
    init?(_ response: OutgoingResponse, to request: HTTPRequest, key: [UInt8], memory: KeptMemory) {
        guard let naming = response.naming, let body = SmallBody(response.body) else { return nil }
        self.key = key
        method = request.method
        requestFields = request.headerFields
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

    /// A handle under the name that the first response had.
    private func make() -> Handle? {
        guard let response = body.makeResponse() else { return nil }
        guard head.headerFields.add(to: response) else {
            c_httpd_response_release(response)
            return nil
        }
        return Handle(response: response, status: UInt32(head.status.code), id: note.id)
    }

    /// Takes a handle back, when the library is done with it, and says what it was for. Without a status it was not sent.
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
    /// Says how it ended, and gives back what was lent.
    func complete(_ end: inout ExchangeEnd) {
        reply.complete(&end, handle)
    }
}
