import HTTPExchange
import Synchronization

/// A thread that frees large objects, so that the threads that serve connections need not: freeing the plan of a model
/// of 80 000 tensors takes tens of milliseconds.
final class FreeingThread: Sendable {
    private struct State {
        /// Objects, each with a reference that this thread must release.
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

    /// Releases a reference for the caller: on this thread if that frees much memory, else at once.
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

    /// Frees the remaining objects and ends the thread. From then on, `release(_:memory:)` frees objects at once.
    func stop() {
        state.withLock { $0.isStopped = true }
        thread.withLock { $0.take() }?.join()
    }

    /// - Returns: `nil` while there is nothing to free; an empty array if there never will be.
    private static func next(_ state: inout State) -> [Unmanaged<AnyObject>]? {
        defer { state.waiting = [] }
        return state.waiting.isEmpty && !state.isStopped ? nil : state.waiting
    }
}

/// The body of a job's response, and the hold on the memory that counts for it.
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
        // Frees the body before its memory stops counting.
        body = nil
    }
}
