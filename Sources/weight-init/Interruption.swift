import Glibc
import Synchronization

/// What is left behind when a signal ends the process: nothing unfinished.
enum Interruption {
    /// The address of the path of the file to remove, or 0. The handler reads it, between any two instructions.
    private static let unfinished = Atomic<UInt>(0)

    /// From here on SIGINT, SIGTERM and SIGHUP remove a file, if one is named, before they end the process as they do
    /// anyway; and a limit on the size of files is an error of writing.
    static func removes(_ path: String?) {
        // Never freed: the process has one such file.
        unfinished.store(UInt(bitPattern: path.flatMap { strdup($0) }), ordering: .sequentiallyConsistent)
        signal(SIGXFSZ, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            sigaddset(&set, number)
            let former = signal(number, handle)
            // Who ignores a signal for a command, as nohup does, means it.
            if unsafeBitCast(former, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { signal(number, SIG_IGN) }
        }
        // A thread that blocks them passes that on to what it starts.
        sigprocmask(SIG_UNBLOCK, &set, nil)
    }

    /// From here on they leave the file alone.
    static func removesNothing() {
        unfinished.store(0, ordering: .sequentiallyConsistent)
    }

    /// Calls only what POSIX allows in a handler.
    private static let handle: @convention(c) (Int32) -> Void = { number in
        let address = unfinished.load(ordering: .sequentiallyConsistent)
        if let path = UnsafePointer<CChar>(bitPattern: address) { unlink(path) }
        signal(number, SIG_DFL)
        // Held back until the handler returns.
        raise(number)
    }
}
