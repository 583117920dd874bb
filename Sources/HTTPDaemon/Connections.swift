import CHTTPDaemon
import Glibc
import Synchronization

/// An open connection and the request that it is at.
///
/// Sendable because what other threads look at is atomic; the rest belongs to the thread that serves the connection.
final class Connection: @unchecked Sendable {
    /// A request that was answered before, and what answers it again.
    struct Repetition {
        let reply: KeptReply
        let handle: KeptReply.Handle
    }

    /// Time in which a body may arrive at any rate.
    private static let bodyGrace: Duration = .seconds(5)

    let descriptor: Int32
    let peer: String?
    /// When the request that is arriving must be whole, in nanoseconds; `.max` while none is.
    private let dueNanoseconds: Atomic<UInt64>
    /// When the first line of the request had arrived.
    private(set) var started = Timestamp(nanoseconds: 0)
    /// The request's target exactly as sent; empty where its first line has none.
    private(set) var target: [UInt8] = []
    var repetition: Repetition?
    /// `due` and time when the body's first byte was waited for.
    private var bodyStart = (due: Timestamp(nanoseconds: .max), time: Timestamp(nanoseconds: 0))
    /// `true` if the end of the connection ends the active body.
    private let hasUnframedBody = Atomic(false)
    private let phase = Atomic(Phase.idle)
    /// The response that went past the library. Belongs to who is refusing, then to nobody.
    private var last: LastResponse?

    private enum Phase: UInt8, AtomicRepresentable {
        /// No request has begun, or it has arrived whole.
        case idle
        /// The request's first line has arrived, and the rest has not.
        case receiving
        /// The request gets a last response, and no other.
        case refusing
        /// It has been sent.
        case refused
    }

    init(descriptor: Int32, peer: String?, due: Timestamp) {
        self.descriptor = descriptor
        self.peer = peer
        dueNanoseconds = Atomic(due.nanoseconds)
    }

    var due: Timestamp {
        get { Timestamp(nanoseconds: dueNanoseconds.load(ordering: .relaxed)) }
        set { dueNanoseconds.store(newValue.nanoseconds, ordering: .relaxed) }
    }

    /// The first line of a request has arrived.
    func begin(target: UnsafeBufferPointer<UInt8>, at time: Timestamp) {
        started = time
        // The next request's goes where this one's is.
        self.target.removeAll(keepingCapacity: true)
        self.target.append(contentsOf: target)
        phase.store(.receiving, ordering: .releasing)
    }

    /// The head of a request has arrived, and its body is next.
    func beginBody() {
        bodyStart = (due, .now)
    }

    /// Part of the body has arrived: the next part is due when the body would fall behind the rate.
    ///
    /// - Parameters:
    ///   - byteCount: Bytes of the body so far.
    ///   - rate: Bytes per second on average, after a grace. 0 is any.
    func receivedBody(_ byteCount: Int, atLeast rate: Int) {
        guard rate > 0 else { return }
        let allowance = Self.bodyGrace + Service.grace + .seconds(Double(byteCount) / Double(rate))
        due = min(bodyStart.due, bodyStart.time + allowance)
    }

    /// `true` if the end of the connection ends the active body, as in HTTP/1.0 for unknown lengths.
    var isFramedByItsEnd: Bool {
        get { hasUnframedBody.load(ordering: .relaxed) }
        set { hasUnframedBody.store(newValue, ordering: .relaxed) }
    }

    /// - Returns: False if the request is being refused: then there is nothing more to say.
    func receivedWhole() -> Bool {
        due = Timestamp(nanoseconds: .max)
        let original = phase.compareExchange(expected: .receiving, desired: .idle, ordering: .relaxed).original
        return original == .receiving || original == .idle
    }

    /// Ends a request that has not arrived whole with a response that goes past the library.
    ///
    /// - Parameter send: Makes and sends it, given the request's target.
    func refuse(_ send: (_ target: [UInt8]) -> LastResponse?) {
        guard phase.compareExchange(expected: .receiving, desired: .refusing, ordering: .acquiring).exchanged else {
            return
        }
        last = send(target)
        phase.store(.refused, ordering: .releasing)
    }

    /// Ends the connection, by a reset if its end would be taken for the end of a body that is not through. The descriptor must
    /// still be this connection's.
    func cut() {
        if isFramedByItsEnd { c_httpd_reset(descriptor) }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// The response that went past the library, once the library is done with the request.
    func takeLast() -> LastResponse? {
        phase.load(ordering: .acquiring) == .refused ? last.take() : nil
    }
}

/// The open connections, and the thread that ends those whose request takes too long to arrive.
///
/// The library knows inactivity alone: a client that sends a byte a second would hold its connection for ever.
final class Connections: Sendable {
    private struct State {
        var open: [Int32: Connection] = [:]
        /// `true` if there have been connections since memory was last returned.
        var holdsMemory = false
    }

    private let state = Mutex(State())
    private let isStopped = Monitor(false)
    private let thread = Mutex<Thread?>(nil)

    var count: Int {
        state.withLock { $0.open.count }
    }

    func add(_ connection: Connection) {
        state.withLock { state in
            state.open[connection.descriptor] = connection
            state.holdsMemory = true
        }
    }

    func remove(_ connection: Connection) {
        state.withLock { _ = $0.open.removeValue(forKey: connection.descriptor) }
    }

    /// Starts looking for late ones every `interval`.
    ///
    /// - Parameter refusing: Makes the response to a late request; `nil` sends none.
    func startCutting(
        every interval: Duration,
        refusing: @escaping @Sendable (_ target: [UInt8]) -> LastResponse?
    ) throws(DaemonError) {
        let thread = try Thread {
            while self.isStopped.wait(until: .now + interval, for: { $0 ? true : nil }) == nil {
                self.cutLate(refusing: refusing)
                self.giveBackMemory()
            }
        }
        self.thread.withLock { $0 = thread }
    }

    func stopCutting() {
        isStopped.withLock { $0 = true }
        thread.withLock { $0.take() }?.join()
    }

    /// Ends every connection, and gives the daemon a second to close them, which on a busy machine takes more than a moment.
    ///
    /// libmicrohttpd 0.9.75 reads through a null pointer if it is stopped while it refuses a request by itself: its threads have
    /// to be through with what they have received.
    func cutAll() {
        state.withLock { state in
            for connection in state.open.values { connection.cut() }
        }
        let deadline = Timestamp.now + .seconds(1)
        while count > 0, .now < deadline { usleep(500) }
    }

    /// Once nobody is there any more. What malloc keeps for later would else be more or less after each rush.
    private func giveBackMemory() {
        let isDue = state.withLock { state in
            guard state.holdsMemory, state.open.isEmpty else { return false }
            state.holdsMemory = false
            return true
        }
        if isDue { c_httpd_give_back_memory() }
    }

    /// Ends the connections whose request is late, those on which a request has begun with a refusal.
    private func cutLate(refusing: (_ target: [UInt8]) -> LastResponse?) {
        let now = Timestamp.now
        let late = state.withLock { state in state.open.values.filter { $0.due < now } }
        for connection in late {
            state.withLock { state in
                // Under the lock: what is still listed has not been closed, so the descriptor is this connection's. The
                // daemon sees the end of the stream and closes it.
                guard state.open[connection.descriptor] === connection, connection.due < now else { return }
                connection.refuse { target in
                    let response = refusing(target)
                    response?.send(to: connection.descriptor)
                    return response
                }
                connection.cut()
            }
        }
    }
}
