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

    let descriptor: Int32
    let peer: String?
    /// When the request that is arriving must be whole, in nanoseconds; `.max` while none is.
    private let dueNanoseconds: Atomic<UInt64>
    /// When the first line of the request had arrived.
    private(set) var started = Timestamp(nanoseconds: 0)
    /// The request's target exactly as sent; empty where its first line has none.
    private(set) var target: [UInt8] = []
    var repetition: Repetition?

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
    }

    func receivedWhole() {
        due = Timestamp(nanoseconds: .max)
    }
}

/// The open connections, and the thread that cuts those whose request takes too long to arrive.
///
/// The library knows inactivity alone: a client that sends a byte a second would hold its connection for ever.
final class Connections: Sendable {
    private struct State {
        var open: [Int32: Connection] = [:]
        var isStopped = false
        /// Whether there have been connections since memory was last given back.
        var holdsMemory = false
    }

    private let state = Monitor(State())
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
    func startCutting(every interval: Duration) throws(DaemonError) {
        let thread = try Thread {
            while self.state.wait(until: .now + interval, for: { $0.isStopped ? true : nil }) == nil {
                self.cutLate()
                self.giveBackMemory()
            }
        }
        self.thread.withLock { $0 = thread }
    }

    func stopCutting() {
        state.withLock { $0.isStopped = true }
        thread.withLock { $0.take() }?.join()
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

    private func cutLate() {
        let now = Timestamp.now
        state.withLock { state in
            for connection in state.open.values where connection.due < now {
                // Under the lock: what is still listed has not been closed, so the descriptor is this connection's. The
                // daemon sees the end of the stream and closes it.
                shutdown(connection.descriptor, Int32(SHUT_RDWR))
            }
        }
    }
}
