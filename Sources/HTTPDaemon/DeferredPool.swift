import CHTTPDaemon
import HTTPExchange
import Synchronization

/// Threads for jobs that must not block the threads that serve connections.
///
/// Life of a job, every step under the pool's one lock:
///
///     waiting ──► running ──► settled
///        └───────────┴───────────▲     too large, client gone, waited too long, no memory, or pool stopped
///
/// A job is settled once, and its connection is resumed under the same lock. So each suspension is resumed once, and
/// after `stop` no connection is suspended. The descriptor of an unsettled job is open, because the library does not
/// close a suspended connection.
///
/// There are two lanes, one for short jobs and one for long ones. Each has its own queue, memory and threads, so a
/// short job never waits for a long one.
final class DeferredPool: Sendable {
    /// Result of a job, for the exchange that waits for it.
    enum Outcome {
        case finished(Reply, MemoryHold)
        /// No room, no time, or the service is stopping.
        case saturated(Saturation)
        /// The job needs more memory than there is for all jobs together.
        case tooLarge(need: Int, limit: Int)
        case clientGone
    }

    fileprivate enum Lane: Int {
        case short, long

        static let all: [Lane] = [.short, .long]
    }

    private struct LaneState {
        /// In the order of `DeferredJob.urgency`. The first job blocks the others while it waits for memory.
        var waiting: [DeferredJob] = []
        var memoryHeld = 0
        /// Threads of this lane that run a job of either lane.
        var busyThreads = 0
    }

    private struct State {
        /// Indexed by the lane's raw value.
        var lanes = [LaneState(), LaneState()]
        var running: [DeferredJob] = []
        var isStopped = false

        subscript(lane: Lane) -> LaneState {
            get { lanes[lane.rawValue] }
            set { lanes[lane.rawValue] = newValue }
        }

        var waiting: [DeferredJob] { lanes.flatMap(\.waiting) }
    }

    /// Milliseconds after which the watching thread sees a new job. From then on, it notices at once if the job's
    /// client leaves.
    private static let watchInterval: Int32 = 10

    /// Bytes that stay free for the small allocations of the threads that serve connections.
    private static let spareMemory = 16 << 20
    /// Bytes of memory that a job takes without asking whether the host has them: asking takes as long as a small job.
    private static let uncheckedMemory = 256 << 10

    private let limits: DeferredLimits
    private let state = Monitor(State())
    private let threads = Mutex<[Thread]>([])

    init(limits: DeferredLimits) {
        self.limits = limits
    }

    func start() throws(DaemonError) {
        for lane in Lane.all {
            for _ in 0..<threadCount(lane) {
                try start { self.work(lane) }
            }
        }
        try start { self.watch() }
    }

    private func start(_ body: @escaping @Sendable () -> Void) throws(DaemonError) {
        let thread = try Thread(body)
        threads.withLock { $0.append(thread) }
    }

    private func threadCount(_ lane: Lane) -> Int {
        switch lane {
        case .short: limits.shortThreadCount
        case .long: limits.threadCount
        }
    }

    private func memoryLimit(_ lane: Lane) -> Int {
        switch lane {
        case .short: limits.shortMemoryLimit
        case .long: limits.memoryLimit
        }
    }

    /// Takes a job whose connection is already suspended. The job is settled in any case, perhaps before this returns.
    ///
    /// A short job that needs more memory than short jobs have counts as long. So only the long jobs' limit makes a job
    /// too large.
    func submit(_ job: DeferredJob) {
        job.lane = job.cost <= limits.shortCost && job.memory <= limits.shortMemoryLimit ? .short : .long
        state.withLock { state in
            // Waiting would not help.
            if job.memory > memoryLimit(job.lane) {
                settle(job, .tooLarge(need: job.memory, limit: memoryLimit(job.lane)))
            } else if let saturation = saturation(state, for: job) {
                settle(job, .saturated(saturation))
            } else {
                let now = Timestamp.now
                job.waitsUntil = now + limits.waitLimit
                job.urgency = now + job.cost * DeferredJob.patience
                let place = state[job.lane].waiting.firstIndex { job.urgency < $0.urgency }
                state[job.lane].waiting.insert(job, at: place ?? state[job.lane].waiting.count)
            }
        }
    }

    private func saturation(_ state: State, for job: DeferredJob) -> Saturation? {
        if state.isStopped { return .stopping }
        let isFull = state[job.lane].waiting.count >= limits.queueLimit + idleThreads(state, for: job.lane)
        return isFull ? .workQueue : nil
    }

    private func idleThreads(_ state: State, for lane: Lane) -> Int {
        Lane.all.filter { Self.serves($0, lane) }.map { max(0, threadCount($0) - state[$0].busyThreads) }.reduce(0, +)
    }

    /// `true` if threads of the first lane run jobs of the second.
    private static func serves(_ lane: Lane, _ other: Lane) -> Bool {
        lane == other || lane == .long
    }

    /// The outcome of a job; `nil` while it is not settled.
    func takeOutcome(of job: DeferredJob) -> Outcome? {
        state.withLock(wakes: false) { _ in
            defer { job.outcome = nil }
            return job.outcome
        }
    }

    /// The jobs' part of the load.
    var load: TransportLoad {
        state.withLock(wakes: false) { state in
            var load = TransportLoad()
            load.waitingWork = state.waiting.count
            load.runningWork = state.running.count
            load.workMemory = state.lanes.map(\.memoryHeld).reduce(0, +)
            return load
        }
    }

    /// Settles every job and takes no more. Running jobs see that they are cancelled.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            for job in state.waiting + state.running {
                settle(job, .saturated(.stopping))
            }
            for lane in Lane.all { state[lane].waiting.removeAll() }
        }
    }

    /// Waits until the jobs that were running at `stop` have returned.
    func join() {
        for thread in threads.withLock({ threads in
            defer { threads.removeAll() }
            return threads
        }) {
            thread.join()
        }
    }

    fileprivate func release(_ memory: Int, of lane: Lane) {
        let areJobsWaiting = state.withLock(wakes: false) { state in
            state[lane].memoryHeld -= memory
            return !state.waiting.isEmpty
        }
        if areJobsWaiting { state.wake() }
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

    /// Main loop of a thread of a lane.
    private func work(_ lane: Lane) {
        while case .run(let job) = state.wait(for: { next(&$0, for: lane) }) {
            let hold = MemoryHold(pool: self, lane: job.lane, memory: job.memory)
            let outcome = outcome(of: job, hold)
            // The hold must not be freed under the lock, because freeing it takes the lock.
            withExtendedLifetime(hold) {
                // Threads wait for jobs and for memory, and these are none.
                state.withLock(wakes: false) { state in
                    state.running.removeAll { $0 === job }
                    state[lane].busyThreads -= 1
                    settle(job, outcome)
                }
            }
        }
    }

    private func outcome(of job: DeferredJob, _ hold: MemoryHold) -> Outcome {
        // A failed allocation of a running job would end the process. Other running jobs may not have allocated all of
        // their memory yet, so the check covers them, too. Small jobs take what it spares.
        if job.memory > Self.uncheckedMemory {
            let promised = state.withLock(wakes: false) { $0.running.map(\.memory).reduce(Self.spareMemory, +) }
            guard c_httpd_has_memory(promised) else { return .saturated(.workMemory) }
        }
        let reply = job.run { job.cancelled.load(ordering: .relaxed) }
        if case .ready(let response) = reply, let memory = response.memory { hold.shrink(to: memory) }
        return .finished(reply, hold)
    }

    private func next(_ state: inout State, for lane: Lane) -> Next? {
        guard !state.isStopped else {
            return .stop
        }
        // Threads of the long lane look for long jobs first, because no other threads run these.
        for jobLane in [lane, .short] {
            guard let job = state[jobLane].waiting.first,
                job.memory <= memoryLimit(jobLane) - state[jobLane].memoryHeld
            else { continue }
            state[jobLane].waiting.removeFirst()
            state[jobLane].memoryHeld += job.memory
            state[lane].busyThreads += 1
            state.running.append(job)
            return .run(job)
        }
        return nil
    }

    /// Watches suspended connections, which the library does not do. If a client is gone or has closed its half, its
    /// job is settled and makes room for others.
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
                    // Does nothing for a job that has been settled in the meantime, whose descriptor may now be another
                    // connection's.
                    settle(job, .clientGone)
                }
                for job in state.waiting where job.waitsUntil <= now {
                    settle(job, .saturated(.workTime))
                }
                for lane in Lane.all { state[lane].waiting.removeAll { $0.isSettled } }
            }
        }
    }
}

/// A job, and the suspended connection that waits for it.
///
/// Sendable because `waitsUntil`, `isSettled` and `outcome` are only used under the pool's lock, and the rest is set
/// before the pool lists the job.
final class DeferredJob: @unchecked Sendable {
    /// Multiple of a job's cost for which cheaper jobs may overtake it.
    fileprivate static let patience = 16

    fileprivate let connection: OpaquePointer
    fileprivate let descriptor: Int32
    fileprivate let memory: Int
    fileprivate let cost: Duration
    fileprivate let run: (_ isCancelled: @escaping @Sendable () -> Bool) -> Reply
    fileprivate let cancelled = Atomic(false)
    fileprivate var lane = DeferredPool.Lane.long
    /// Time by which jobs are ordered: the earliest runs first. Jobs of equal cost run in the order of their arrival.
    fileprivate var urgency = Timestamp(nanoseconds: .max)
    fileprivate var waitsUntil = Timestamp(nanoseconds: .max)
    fileprivate var isSettled = false
    fileprivate var outcome: DeferredPool.Outcome?

    init(_ work: DeferredWork, connection: OpaquePointer) {
        self.connection = connection
        descriptor = c_httpd_descriptor(connection)
        memory = max(0, work.memory)
        // Multiplied by the patience, the cost must not overflow.
        cost = min(max(.zero, work.cost), .seconds(1 << 32))
        run = work.run
    }
}

/// Memory that counts as used until this object is freed: with the response, or with the job if nobody waits for it.
final class MemoryHold: Sendable {
    private let pool: DeferredPool
    private let lane: DeferredPool.Lane
    private let memory: Atomic<Int>

    fileprivate init(pool: DeferredPool, lane: DeferredPool.Lane, memory: Int) {
        self.pool = pool
        self.lane = lane
        self.memory = Atomic(memory)
    }

    var byteCount: Int { memory.load(ordering: .relaxed) }

    fileprivate func shrink(to bytes: Int) {
        let held = memory.load(ordering: .relaxed)
        guard bytes < held else { return }
        memory.store(max(0, bytes), ordering: .relaxed)
        pool.release(held - max(0, bytes), of: lane)
    }

    deinit {
        pool.release(memory.load(ordering: .relaxed), of: lane)
    }
}
