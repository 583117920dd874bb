import Glibc

/// Ends the process if its orderly end takes too long.
///
/// A handler that does not return, or a log that nobody reads, would keep the threads from ending.
enum LastResort {
    /// Seconds that the process has for ending once the drain is over.
    static let grace = 2

    // Written before the alarm is set, read by the handler of its signal.
    nonisolated(unsafe) private static var line = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)

    /// Ends the process with status 1 if it still runs after this many seconds.
    ///
    /// - Parameter format: Format of the line that is then logged, if standard error takes it at once.
    static func endProcess(after seconds: Int, logging format: LogFormat) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        time.tv_sec += seconds
        let bytes = LogLine.error(
            "threads have not ended after the drain: the process ends without them",
            at: time,
            format
        )
        // Made now, because a signal handler must not allocate. Never freed.
        line = .allocate(capacity: bytes.count)
        _ = line.initialize(from: bytes)
        signal(SIGALRM) { _ in LastResort.end() }
        alarm(UInt32(clamping: seconds))
    }

    private static func end() {
        var stream = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        if poll(&stream, 1, 0) == 1 { _ = write(STDERR_FILENO, line.baseAddress, line.count) }
        _exit(EXIT_FAILURE)
    }
}
