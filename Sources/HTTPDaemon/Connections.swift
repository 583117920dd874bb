import CHTTPDaemon
import Glibc
import Synchronization

/// An open connection and its current request.
///
/// Sendable because the state that other threads read is atomic, and the rest belongs to the thread that serves the
/// connection.
final class Connection: @unchecked Sendable {
    /// The kept reply to a repeated request, and the handle that sends it.
    struct Repetition {
        let reply: KeptReply
        let handle: KeptReply.Handle
    }

    /// Time in which a body may arrive at any rate.
    private static let bodyGrace: Duration = .seconds(5)

    let descriptor: Int32
    let peer: String?
    /// Deadline of the request that is arriving, in nanoseconds; `.max` while none is arriving.
    private let dueNanoseconds: Atomic<UInt64>
    /// Time at which the first line of the request arrived.
    private(set) var started = Timestamp(nanoseconds: 0)
    /// The request's target exactly as sent; empty if its first line has none.
    private(set) var target: [UInt8] = []
    var repetition: Repetition?
    /// Deadline and time at the arrival of the head.
    private var bodyStart = (due: Timestamp(nanoseconds: .max), time: Timestamp(nanoseconds: 0))
    /// `true` if the end of the connection ends the active body.
    private let hasUnframedBody = Atomic(false)
    private let phase = Atomic(Phase.idle)
    /// The response that was sent without the library. Only the refusing thread uses it until the phase is `refused`.
    private var last: LastResponse?

    private enum Phase: UInt8, AtomicRepresentable {
        /// No request has begun, or it has arrived whole.
        case idle
        /// The request's first line has arrived, and the rest has not.
        case receiving
        /// The request gets a last response and no other.
        case refusing
        /// The last response has been sent.
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

    /// Begins a request, whose first line has arrived.
    func begin(target: UnsafeBufferPointer<UInt8>, at time: Timestamp) {
        started = time
        // The next target reuses this one's memory.
        self.target.removeAll(keepingCapacity: true)
        self.target.append(contentsOf: target)
        phase.store(.receiving, ordering: .releasing)
    }

    /// Begins the body of a request, whose head has arrived.
    func beginBody() {
        bodyStart = (due, .now)
    }

    /// Moves the deadline when part of the body has arrived: the next part is due when the body would fall behind the
    /// rate.
    ///
    /// - Parameters:
    ///   - byteCount: Bytes of the body so far.
    ///   - rate: Minimum average of bytes per second, after a grace period. 0 is no minimum.
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

    /// - Returns: False if the request is already being refused, and gets no other response.
    func receivedWhole() -> Bool {
        due = Timestamp(nanoseconds: .max)
        let original = phase.compareExchange(expected: .receiving, desired: .idle, ordering: .relaxed).original
        return original == .receiving || original == .idle
    }

    /// Refuses a request that has not arrived whole, with a response that is sent without the library.
    ///
    /// - Parameter send: Makes and sends the response, given the request's target.
    func refuse(_ send: (_ target: [UInt8]) -> LastResponse?) {
        guard phase.compareExchange(expected: .receiving, desired: .refusing, ordering: .acquiring).exchanged else {
            return
        }
        last = send(target)
        phase.store(.refused, ordering: .releasing)
    }

    /// Ends the connection. Resets the connection if the client would otherwise take its end for the end of an
    /// incomplete body. The descriptor must still be this connection's.
    func cut() {
        if isFramedByItsEnd { c_httpd_reset(descriptor) }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// The response that was sent without the library. Called when the library is done with the request.
    func takeLast() -> LastResponse? {
        phase.load(ordering: .acquiring) == .refused ? last.take() : nil
    }
}

/// The open connections, and the thread that ends those whose request takes too long to arrive.
///
/// The library has a timeout for inactivity only: a client that sends one byte a second would hold its connection for
/// ever.
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

    /// Starts looking for late requests every `interval`.
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

    /// Ends every connection, and gives the daemon up to a second to close them, which takes time on a busy machine.
    ///
    /// libmicrohttpd 0.9.75 dereferences a null pointer if it is stopped while it refuses a request by itself. So its
    /// threads must first process everything that they have received.
    func cutAll() {
        state.withLock { state in
            for connection in state.open.values { connection.cut() }
        }
        let deadline = Timestamp.now + .seconds(1)
        while count > 0, .now < deadline { usleep(500) }
    }

    /// Returns free memory to the system when the last connection has closed. Otherwise the memory that malloc keeps
    /// would vary from one burst of requests to the next.
    private func giveBackMemory() {
        let isDue = state.withLock { state in
            guard state.holdsMemory, state.open.isEmpty else { return false }
            state.holdsMemory = false
            return true
        }
        if isDue { c_httpd_give_back_memory() }
    }

    /// Ends the connections whose request is late. If the request has begun, its connection gets a refusal first.
    private func cutLate(refusing: (_ target: [UInt8]) -> LastResponse?) {
        let now = Timestamp.now
        let late = state.withLock { state in state.open.values.filter { $0.due < now } }
        for connection in late {
            state.withLock { state in
                // Under the lock: a listed connection has not been closed, so the descriptor is still its own. The
                // daemon sees the end of the stream and closes the connection.
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
