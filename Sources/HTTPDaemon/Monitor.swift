import Glibc

/// A value behind a mutex, with a condition variable to wait for its changes.
///
/// `Mutex` of the standard library has no condition variable.
final class Monitor<Value>: @unchecked Sendable {
    // Sendable because `value` is touched only between lock and unlock.
    private var value: Value
    // POSIX requires that these never move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` under the lock, and wakes all waiting threads.
    ///
    /// - Parameter wakes: `false` if no thread waits for what `body` changes.
    func withLock<Result>(wakes: Bool = true, _ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            if wakes { pthread_cond_broadcast(condition) }
            pthread_mutex_unlock(mutex)
        }
        return body(&value)
    }

    /// Wakes all waiting threads.
    func wake() { withLock { _ in } }

    /// Calls `body` after every change until it returns a result. Returns `nil` once `deadline` has passed.
    func wait<Result>(until deadline: Timestamp? = nil, for body: (inout Value) -> Result?) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) {
                return result
            }
            if let deadline {
                guard deadline > .now else {
                    return nil
                }
                var time = deadline.timespec
                pthread_cond_timedwait(condition, mutex, &time)
            } else {
                pthread_cond_wait(condition, mutex)
            }
        }
    }
}

/// A time of the monotonic clock, in nanoseconds: small enough for an atomic, and usable for POSIX waits.
struct Timestamp: Comparable {
    var nanoseconds: UInt64

    static var now: Timestamp {
        var time = Glibc.timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Timestamp(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    var timespec: Glibc.timespec {
        Glibc.timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }

    static func < (one: Timestamp, other: Timestamp) -> Bool {
        one.nanoseconds < other.nanoseconds
    }

    /// The time since an earlier one; 0 since a later one.
    func nanoseconds(since earlier: Timestamp) -> Int {
        self < earlier ? 0 : Int(clamping: nanoseconds - earlier.nanoseconds)
    }

    /// A later time; a time beyond the clock's range is for ever.
    func advanced(by nanoseconds: UInt64) -> Timestamp {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return Timestamp(nanoseconds: overflow ? .max : sum)
    }

    /// - Parameter duration: At least 0; a time beyond the clock's range is for ever.
    static func + (time: Timestamp, duration: Duration) -> Timestamp {
        time.advanced(by: duration.clampedNanoseconds)
    }
}

extension Duration {
    /// Nanoseconds, clamped to the range of `UInt64`.
    var clampedNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        let whole = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let sum = whole.partialValue.addingReportingOverflow(UInt64(clamping: attoseconds / 1_000_000_000))
        return whole.overflow || sum.overflow ? .max : sum.partialValue
    }
}

/// A POSIX thread.
struct Thread: Sendable {
    private let handle: pthread_t

    /// - Throws: `DaemonError.system` if the system allows no more threads.
    init(_ body: @escaping @Sendable () -> Void) throws(DaemonError) {
        final class Start {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var handle = pthread_t()
        // Released by the thread's first line.
        let start = Unmanaged.passRetained(Start(body))
        let code = pthread_create(
            &handle,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            },
            start.toOpaque()
        )
        guard code == 0 else {
            start.release()
            throw .system("no thread: \(String(cString: strerror(code)))")
        }
        self.handle = handle
    }

    func join() {
        pthread_join(handle, nil)
    }
}
