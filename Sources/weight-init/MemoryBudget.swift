import ByteText
import Glibc
import HTTPDaemon
import InitAPI
import Settings

/// The most memory that a service takes: the sum of its budgets, which docs/operations.md lists under "Sizing".
struct MemoryBudget {
    /// Memory of the process without requests, in bytes.
    private static let process = 32 << 20

    /// Budget of an option.
    private struct Part {
        let option: String
        let bytes: Int

        /// - Parameters:
        ///   - place: Value of the option.
        ///   - unit: Bytes that the budget has for each unit of the value.
        init<Values: Configurable>(_ values: Values, _ place: KeyPath<Values, Int>, of unit: Int = 1) {
            option = Values.settingName(at: place).map { "--" + $0 } ?? ""
            bytes = values[keyPath: place].multipliedClamped(by: unit)
        }
    }

    private let parts: [Part]

    init(_ settings: ServeSettings) {
        let (daemon, limits) = (settings.daemon, settings.limits)
        parts = [
            Part(daemon, \.bodyMemory), Part(daemon, \.uploadMemory), Part(daemon, \.replyCacheSize),
            Part(limits, \.maximumWorkBytes), Part(daemon, \.deferred.shortMemoryLimit), Part(limits, \.cacheBytes),
            Part(limits, \.maximumModelBytes), Part(limits, \.modelCacheBytes),
            // Each connection has a buffer, and a request read from it or a short reply.
            Part(daemon, \.connectionLimit, of: daemon.connectionMemory.multipliedClamped(by: 2)),
            Part(limits, \.maximumBodyBytes, of: daemon.threadCount),
        ]
    }

    /// Sum in bytes.
    var sum: Int {
        parts.reduce(Self.process) { $0.addingClamped($1.bytes) }
    }

    /// A warning if the sum is more than this process can have.
    func shortage(of available: Available? = .here()) -> String? {
        guard let available, sum > available.bytes else { return nil }
        let largest = parts.sorted { $0.bytes > $1.bytes }.prefix(3).map(\.option)
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

        /// The text of a file of the kernel; `nil` if it cannot be read.
        private static func text(of path: String) -> Text? {
            (try? contents(of: path, limit: 1 << 20)).map { Text(decoding: $0) }
        }
    }
}

extension Int {
    /// Rounded up.
    var mebibytes: Int { self / (1 << 20) + (self % (1 << 20) > 0 ? 1 : 0) }
}
