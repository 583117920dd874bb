import ByteText
import Glibc
import HTTPDaemon
import InitAPI

/// The most memory that a service takes: the sum of its budgets, which docs/operations.md lists under "Sizing".
struct MemoryBudget {
    /// Memory of the process without requests, in bytes.
    private static let process = 32 << 20

    private let parts: [(option: String, bytes: Int)]

    init(_ settings: ServeSettings) {
        let (daemon, limits) = (settings.daemon, settings.limits)
        // Each connection has a buffer, and a request read from it or a short reply.
        let connections = daemon.connectionLimit.multipliedClamped(by: daemon.connectionMemory.multipliedClamped(by: 2))
        parts = [
            ("max-body-memory", daemon.bodyMemory), ("max-upload-memory", daemon.uploadMemory),
            ("reply-cache-bytes", daemon.replyCacheSize), ("max-work-bytes", limits.maximumWorkBytes),
            ("max-short-work-bytes", daemon.deferred.shortMemoryLimit), ("cache-bytes", limits.cacheBytes),
            ("max-model-bytes", limits.maximumModelBytes), ("model-cache-bytes", limits.modelCacheBytes),
            ("max-connections", connections),
            ("max-body-bytes", daemon.threadCount.multipliedClamped(by: limits.maximumBodyBytes)),
        ]
    }

    /// Sum in bytes.
    var sum: Int {
        parts.reduce(Self.process) { $0.addingClamped($1.bytes) }
    }

    /// A warning if the sum is more than this process can have.
    func shortage(of available: Available? = .here()) -> String? {
        guard let available, sum > available.bytes else { return nil }
        let largest = parts.sorted { $0.bytes > $1.bytes }.prefix(3).map { "--" + $0.option }
        return
            "the memory budgets add up to \(sum.mebibytes) MiB, and \(available.source) is \(available.bytes.mebibytes) MiB: "
            + "lower \(largest.joined(separator: ", ")), or the system may end the service"
    }
}

extension MemoryBudget {
    /// The memory that a process can have.
    struct Available: Equatable {
        var bytes: Int
        /// Subject of a sentence: `the limit of this container or unit`.
        var source: String

        /// The lowest limit that holds for this process; `nil` if there is none to be found.
        static func here() -> Available? {
            let machine = sysconf(Int32(_SC_PHYS_PAGES)).multipliedClamped(by: sysconf(Int32(_SC_PAGESIZE)))
            let all = [
                controlGroup().map { Available(bytes: $0, source: "the limit of this container or unit") },
                resourceLimit().map { Available(bytes: $0, source: "the limit of this process (ulimit -v, -d)") },
                machine > 0 ? Available(bytes: machine, source: "the memory of this machine") : nil,
            ]
            return all.compactMap { $0 }.min { $0.bytes < $1.bytes }
        }

        /// The limit of address space or data.
        private static func resourceLimit() -> Int? {
            [RLIMIT_AS, RLIMIT_DATA].compactMap { resource in
                var limit = rlimit()
                guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return nil }
                return Int(exactly: limit.rlim_cur)
            }.min()
        }

        /// The lowest limit of the process's control groups, of version 2 or 1, each of which counts for those within it.
        private static func controlGroup() -> Int? {
            let lines = text(of: "/proc/self/cgroup")?.split(separator: "\n") ?? []
            var limits: [Int] = []
            for line in lines {
                let fields = line.split(separator: ":", maxSplits: 2)
                guard fields.count == 3 else { continue }
                let isUnified = fields[1].isEmpty
                guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
                let (root, file) =
                    isUnified
                    ? ("/sys/fs/cgroup", "memory.max") : ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
                // A container sees its own group as the root, under a path that is the host's.
                var path = fields[2].split(separator: "/")
                while true {
                    let directory = ([Text(root)] + path).map(\.description).joined(separator: "/")
                    if let limit = text(of: "\(directory)/\(file)")?.split(separator: "\n").first.flatMap({
                        Int($0.description)
                    }) {
                        limits.append(limit)
                    }
                    if path.popLast() == nil { break }
                }
            }
            return limits.min()
        }

        private static func text(of path: String) -> Text? {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 16 << 10)
            let count = read(descriptor, &bytes, bytes.count)
            return count > 0 ? Text(decoding: bytes.prefix(count)) : nil
        }
    }
}

extension Int {
    /// Rounded up.
    var mebibytes: Int { self / (1 << 20) + (self % (1 << 20) > 0 ? 1 : 0) }
}
