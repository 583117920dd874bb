import Glibc

/// SIGTERM, SIGINT and SIGHUP. One thread waits for them.
struct TerminationSignals {
    private static let numbers = [SIGTERM, SIGINT]
    private var set = sigset_t()
    private let hasTerminal = isatty(STDIN_FILENO) == 1

    /// Blocks the signals, and no others, in this thread and its future threads. Ignores SIGPIPE, which a write to a
    /// closed connection raises.
    ///
    /// Replaces the whole mask, because a process inherits its parent's: a blocked SIGALRM would never reach
    /// ``LastResort``.
    init() {
        sigemptyset(&set)
        for number in Self.numbers + [SIGHUP] { sigaddset(&set, number) }
        pthread_sigmask(SIG_SETMASK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits for SIGTERM or SIGINT, and reloads at every SIGHUP before it. If the terminal was closed, SIGHUP ends the wait,
    /// too: otherwise the service would go on unseen and keep its port. Afterwards SIGHUP is ignored, and the next SIGTERM
    /// or SIGINT exits at once.
    func wait(reload: () -> Void) -> Int32 {
        var set = set
        var number: Int32 = 0
        while true {
            while sigwait(&set, &number) != 0 {}
            // Nothing that was a terminal and is closed is one still.
            guard number == SIGHUP, !hasTerminal || isatty(STDIN_FILENO) == 1 else { break }
            reload()
        }
        signal(SIGHUP, SIG_IGN)
        // Own handlers, because the kernel ignores default ones for process 1 of a container.
        for number in Self.numbers { signal(number) { _exit(128 + $0) } }
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        return number
    }
}
