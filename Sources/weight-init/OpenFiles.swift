import Glibc

/// Limit on open files, connections included.
enum OpenFiles {
    /// Open files besides connections: standard streams, epoll, eventfds, and spare ones.
    private static let others = 64

    /// Opens `/dev/null` in place of closed standard streams. Otherwise the next file or connection would get the
    /// number of one of them, and the log would go there.
    static func openStandardStreams() {
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) == -1 {
            // The lowest free number is this stream's.
            _ = open("/dev/null", O_RDWR)
        }
    }

    /// Raises the process's limit to as many files as the connections need.
    ///
    /// - Returns: A warning if the system does not allow as many.
    static func makeRoom(forConnections count: Int) -> String? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        let needed = rlim_t(count + others)
        guard limit.rlim_cur < needed else { return nil }
        limit.rlim_cur = min(needed, limit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_max < needed else { return nil }
        return
            "--max-connections \(count) needs \(needed) open files, and the system allows \(limit.rlim_max) (ulimit -Hn): "
            + "further connections wait until others close"
    }
}
