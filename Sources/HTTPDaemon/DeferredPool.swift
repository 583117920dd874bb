import CHTTPDaemon
import HTTPExchange
import Synchronization

/// Threads for work that must not hold up those that serve connections.
///
/// Life of a job, every step under the pool's one lock:
///
///     waiting ──► running ──► settled
///        └───────────┴───────────▲     client gone, waited too long, or pool stopped
///
/// Whoever settles a job resumes its connection, under the same lock. Settling happens once; so each suspension is resumed
/// once, and after `stop` nothing is suspended. The descriptor of an unsettled job is open, because a suspended connection
/// is not closed.
final class DeferredPool: Sendable {
    /// How a job ended, for the exchange that waits for it.
    enum Outcome {
        case finished(OutgoingResponse, MemoryHold)
        /// No room, no time, or the service is stopping.
        case saturated(Saturation)
        case clientGone
    }

    private struct State {
        /// First come, first served: nobody overtakes work that waits for memory.
        var waiting: [DeferredJob] = []
        var running: [DeferredJob] = []
        var memoryHeld = 0
        var isStopped = false
    }

    private static let watchInterval: Int32 = 50  // milliseconds

    private let limits: DeferredLimits
    private let state = Monitor(State())
    private let threads = Mutex<[Thread]>([])

    init(limits: DeferredLimits) {
        self.limits = limits
    }

    func start() throws(DaemonError) {
        for _ in 0..<limits.threadCount {
            try start { self.work() }
        }
        try start { self.watch() }
    }

    private func start(_ body: @escaping @Sendable () -> Void) throws(DaemonError) {
        let thread = try Thread(body)
        threads.withLock { $0.append(thread) }
    }

    /// Takes a job whose connection is suspended already. It is settled in any case, perhaps before this returns.
    func submit(_ job: DeferredJob) {
        state.withLock { state in
            if let saturation = saturation(state, for: job) {
                settle(job, .saturated(saturation))
            } else {
                job.waitsUntil = .now + limits.waitLimit
                state.waiting.append(job)
            }
        }
    }

    private func saturation(_ state: State, for job: DeferredJob) -> Saturation? {
        if state.isStopped { return .stopping }
        if state.waiting.count >= limits.queueLimit + idleThreads(state) { return .workQueue }
        return job.memory > limits.memoryLimit ? .workMemory : nil
    }

    private func idleThreads(_ state: State) -> Int {
        max(0, limits.threadCount - state.running.count)
    }

    /// What became of a job; `nil` while it is not settled.
    func takeOutcome(of job: DeferredJob) -> Outcome? {
        state.withLock { _ in
            defer { job.outcome = nil }
            return job.outcome
        }
    }

    /// What of the load is deferred work.
    var load: TransportLoad {
        state.withLock { state in
            var load = TransportLoad()
            load.waitingWork = state.waiting.count
            load.runningWork = state.running.count
            load.workMemory = state.memoryHeld
            return load
        }
    }

    /// Settles every job and takes no more. Work that runs is told that nobody waits for it.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            for job in state.waiting + state.running {
                settle(job, .saturated(.stopping))
            }
            state.waiting.removeAll()
        }
    }

    /// Waits until the work that was running at `stop` has returned.
    func join() {
        for thread in threads.withLock({ threads in
            defer { threads.removeAll() }
            return threads
        }) {
            thread.join()
        }
    }

    fileprivate func release(_ memory: Int) {
        state.withLock { $0.memoryHeld -= memory }
    }

    // MARK: Under the lock

    private func settle(_ job: DeferredJob, _ outcome: Outcome) {
        guard !job.isSettled else {
            return
        }
        job.isSettled = true
        job.outcome = outcome
        job.cancelled.store(true, ordering: .relaxed)
        c_httpd_resume(job.connection)
    }

    // MARK: The threads

    private enum Next {
        case run(DeferredJob)
        case stop
    }

    private func work() {
        while case .run(let job) = state.wait(for: next) {
            let hold = MemoryHold(pool: self, memory: job.memory)
            let response = job.run { job.cancelled.load(ordering: .relaxed) }
            if let memory = response.memory { hold.shrink(to: memory) }
            // The hold must not end under the lock, which it takes itself.
            withExtendedLifetime(hold) {
                state.withLock { state in
                    state.running.removeAll { $0 === job }
                    settle(job, .finished(response, hold))
                }
            }
        }
    }

    private func next(_ state: inout State) -> Next? {
        guard !state.isStopped else {
            return .stop
        }
        guard let job = state.waiting.first, job.memory <= limits.memoryLimit - state.memoryHeld else {
            return nil
        }
        state.waiting.removeFirst()
        state.running.append(job)
        state.memoryHeld += job.memory
        return .run(job)
    }

    /// The library does not look at a suspended connection, so this does: a client that is gone, or that has closed its
    /// half, gives its place to others.
    private func watch() {
        while true {
            let jobs = state.wait { state -> [DeferredJob]? in
                let unsettled = (state.waiting + state.running).filter { !$0.isSettled }
                return state.isStopped || !unsettled.isEmpty ? unsettled : nil
            }
            guard let jobs, !jobs.isEmpty else {
                return
            }
            var gone = [Bool](repeating: false, count: jobs.count)
            c_httpd_wait_for_hang_up(jobs.map(\.descriptor), &gone, jobs.count, Self.watchInterval)
            let now = Timestamp.now
            state.withLock { state in
                for (job, isGone) in zip(jobs, gone) where isGone {
                    // Settled in the meantime: then the descriptor may have been another's, and nothing happens.
                    settle(job, .clientGone)
                }
                for job in state.waiting where job.waitsUntil <= now {
                    settle(job, .saturated(.workTime))
                }
                state.waiting.removeAll { $0.isSettled }
            }
        }
    }
}

/// Work together with the suspended connection that waits for it.
///
/// Sendable because `waitsUntil`, `isSettled` and `outcome` are touched under the pool's lock only.
final class DeferredJob: @unchecked Sendable {
    fileprivate let connection: OpaquePointer
    fileprivate let descriptor: Int32
    fileprivate let memory: Int
    fileprivate let run: (_ isCancelled: @Sendable () -> Bool) -> OutgoingResponse
    fileprivate let cancelled = Atomic(false)
    fileprivate var waitsUntil = Timestamp(nanoseconds: .max)
    fileprivate var isSettled = false
    fileprivate var outcome: DeferredPool.Outcome?

    init(_ work: DeferredWork, connection: OpaquePointer) {
        self.connection = connection
        descriptor = c_httpd_descriptor(connection)
        memory = max(0, work.memory)
        run = work.run
    }
}

/// Memory that counts as used until this goes away: with the response, or with the work when nobody waits for it.
final class MemoryHold: Sendable {
    private let pool: DeferredPool
    private let memory: Atomic<Int>

    fileprivate init(pool: DeferredPool, memory: Int) {
        self.pool = pool
        self.memory = Atomic(memory)
    }

    fileprivate func shrink(to bytes: Int) {
        let held = memory.load(ordering: .relaxed)
        guard bytes < held else { return }
        memory.store(max(0, bytes), ordering: .relaxed)
        pool.release(held - max(0, bytes))
    }

    deinit {
        pool.release(memory.load(ordering: .relaxed))
    }
}
