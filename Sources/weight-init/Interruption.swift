import Glibc
import Synchronization

/// Removes the partial file if a signal ends the process.
enum Interruption {
    /// Address of the path of the file to remove, or 0. A signal handler reads it, so it is atomic.
    private static let unfinished = Atomic<UInt>(0)

    /// Makes SIGINT, SIGTERM and SIGHUP remove a file before they end the process. Ignores SIGXFSZ, so that a write
    /// beyond the limit on file sizes returns an error.
    static func removes(_ path: String?) {
        // Never freed: the process has one such file.
        unfinished.store(UInt(bitPattern: path.flatMap { strdup($0) }), ordering: .sequentiallyConsistent)
        signal(SIGXFSZ, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            sigaddset(&set, number)
            let former = signal(number, handle)
            // A parent such as nohup ignores the signal on purpose.
            if unsafeBitCast(former, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { signal(number, SIG_IGN) }
        }
        // The parent may have blocked them.
        sigprocmask(SIG_UNBLOCK, &set, nil)
    }

    /// Makes the signals leave the file alone.
    static func removesNothing() {
        unfinished.store(0, ordering: .sequentiallyConsistent)
    }

    /// Calls only async-signal-safe functions.
    private static let handle: @convention(c) (Int32) -> Void = { number in
        let address = unfinished.load(ordering: .sequentiallyConsistent)
        if let path = UnsafePointer<CChar>(bitPattern: address) { unlink(path) }
        signal(number, SIG_DFL)
        // Delivered after the handler has returned.
        raise(number)
    }
}
