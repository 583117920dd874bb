import Glibc

/// SIGTERM and SIGINT, waited for by one thread.
struct TerminationSignals {
    private static let numbers = [SIGTERM, SIGINT]
    private var set = sigset_t()

    /// Blocks them in this thread and in those it will start; ignores SIGPIPE, which a client that goes away would send.
    init() {
        sigemptyset(&set)
        for number in Self.numbers { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Returns the first to arrive. From then on the next one ends the process at once.
    func wait() -> Int32 {
        var set = set
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        // A handler of our own, because process 1 of a container is spared the default one.
        for number in Self.numbers { signal(number) { _exit(128 + $0) } }
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        return number
    }
}
