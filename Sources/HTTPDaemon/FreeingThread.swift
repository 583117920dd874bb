import HTTPExchange
import Synchronization

/// A thread that frees what takes long to free, so that no thread does so that serves connections: the plan of a model of
/// 80 000 tensors takes tens of milliseconds.
final class FreeingThread: Sendable {
    private struct State {
        /// Each with a reference that is this thread's to give up.
        var waiting: [Unmanaged<AnyObject>] = []
        var isStopped = false
    }

    /// Bytes of memory that are freed in less time than it takes to hand them over.
    private static let smallMemory = 256 << 10

    private let state = Monitor(State())
    private let thread = Mutex<Thread?>(nil)

    func start() throws(DaemonError) {
        let started = try Thread { [self] in
            while let objects = state.wait(for: Self.next), !objects.isEmpty {
                for object in objects { object.release() }
            }
        }
        thread.withLock { $0 = started }
    }

    /// Gives up a reference for the caller, on this thread where much is freed with it.
    ///
    /// - Parameter memory: Bytes that the object holds.
    func release(_ object: Unmanaged<some AnyObject>, memory: Int) {
        if memory <= Self.smallMemory || !take(Unmanaged.fromOpaque(object.toOpaque())) { object.release() }
    }

    private func take(_ object: Unmanaged<AnyObject>) -> Bool {
        state.withLock { state in
            if !state.isStopped { state.waiting.append(object) }
            return !state.isStopped
        }
    }

    /// Frees what is left, and ends. References are given up by their holders from here on.
    func stop() {
        state.withLock { $0.isStopped = true }
        thread.withLock { $0.take() }?.join()
    }

    /// - Returns: `nil` for the time being, and none for ever.
    private static func next(_ state: inout State) -> [Unmanaged<AnyObject>]? {
        defer { state.waiting = [] }
        return state.waiting.isEmpty && !state.isStopped ? nil : state.waiting
    }
}

/// The body of deferred work's response, and the count of the memory that it holds, until nothing needs either.
final class HeldBody {
    private var body: ResponseBody?
    private let memory: MemoryHold

    init(_ body: ResponseBody, _ memory: MemoryHold) {
        self.body = body
        self.memory = memory
    }

    /// Bytes of memory that count.
    var byteCount: Int { memory.byteCount }

    deinit {
        // Before it stops counting.
        body = nil
    }
}
