import Glibc

/// SIGTERM and SIGINT, and SIGHUP where there is something to read again, waited for by one thread.
struct TerminationSignals {
    private static let numbers = [SIGTERM, SIGINT]
    private var set = sigset_t()

    /// Blocks them in this thread and in those it will start; ignores SIGPIPE, which a client that goes away would send.
    init(reloads: Bool) {
        sigemptyset(&set)
        for number in Self.numbers + (reloads ? [SIGHUP] : []) { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Returns the first to arrive, after reloading as often as SIGHUP asks for it. From then on SIGHUP does nothing, and
    /// the next of the others ends the process at once.
    func wait(reload: () -> Void) -> Int32 {
        var set = set
        var number: Int32 = 0
        repeat {
            while sigwait(&set, &number) != 0 {}
            if number == SIGHUP { reload() }
        } while number == SIGHUP
        if sigismember(&set, SIGHUP) == 1 { signal(SIGHUP, SIG_IGN) }
        // A handler of our own, because process 1 of a container is spared the default one.
        for number in Self.numbers { signal(number) { _exit(128 + $0) } }
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        return number
    }
}
