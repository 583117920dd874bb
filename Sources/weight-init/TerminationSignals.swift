import Glibc

/// SIGTERM, SIGINT and, if there are files to reload, SIGHUP. One thread waits for them.
struct TerminationSignals {
    private static let numbers = [SIGTERM, SIGINT]
    private var set = sigset_t()

    /// Blocks the signals, and no others, in this thread and its future threads. Ignores SIGPIPE, which a write to a
    /// closed connection raises.
    ///
    /// Replaces the whole mask, because a process inherits its parent's: a blocked SIGALRM would never reach
    /// ``LastResort``.
    init(reloads: Bool) {
        sigemptyset(&set)
        for number in Self.numbers + (reloads ? [SIGHUP] : []) { sigaddset(&set, number) }
        pthread_sigmask(SIG_SETMASK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits for SIGTERM or SIGINT, and reloads at every SIGHUP before it. Afterwards SIGHUP is ignored, and the next
    /// SIGTERM or SIGINT exits at once.
    func wait(reload: () -> Void) -> Int32 {
        var set = set
        var number: Int32 = 0
        repeat {
            while sigwait(&set, &number) != 0 {}
            if number == SIGHUP { reload() }
        } while number == SIGHUP
        if sigismember(&set, SIGHUP) == 1 { signal(SIGHUP, SIG_IGN) }
        // Own handlers, because the kernel ignores default ones for process 1 of a container.
        for number in Self.numbers { signal(number) { _exit(128 + $0) } }
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        return number
    }
}
