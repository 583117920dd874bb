import Glibc

/// How many files the process may have open, connections among them.
enum OpenFiles {
    /// What is open besides connections: standard streams, epoll, wake-ups, and room for what starts and ends at once.
    private static let others = 64

    /// Raises the process's own limit to what so many connections need.
    ///
    /// - Returns: What to say where the system does not allow as many; `nil` where it does.
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
            + "further connections wait until others have ended"
    }
}
