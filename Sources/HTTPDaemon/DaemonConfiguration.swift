import CHTTPDaemon
public import Settings

/// Address and limits of a daemon. The defaults suit a service behind a proxy.
public struct DaemonConfiguration: Sendable {
    /// Path of a Unix domain socket to listen at, instead of an address. A socket that nobody listens at any more is
    /// replaced.
    public var socketPath: String?
    /// A numeric IPv4 or IPv6 address, or `localhost`. `::` takes IPv4 as well.
    public var host = "127.0.0.1"
    /// 0 picks a free port.
    public var port: UInt16 = 8080
    /// Threads that serve connections. The library needs at least 2.
    public var threadCount = 2
    /// Connections open at the same time, over all threads. More wait in the kernel's queue.
    public var connectionLimit = 1024
    /// Connections open at the same time from one address; 0 is no limit. There is none by default, because behind a
    /// proxy all clients have the proxy's address.
    public var connectionsPerAddress = 0
    /// Time without traffic after which a connection is closed, in whole seconds.
    public var idleTimeout: Duration = .seconds(30)
    /// Time in which a request must arrive whole, counted from the opening of its connection and again from its first
    /// line.
    public var receiveTimeout: Duration = .seconds(30)
    /// Bytes for the head of a request, buffers included. A longer head gets the library's own page, with 414 or 431.
    /// The library clears all of this memory after each request: 32 KiB take a fourteenth of the time of a small
    /// request, more memory takes longer.
    public var connectionMemory = 32 << 10
    /// Minimum average rate of a request body in bytes per second, after 5 seconds; 0 is no limit.
    public var minimumReceiveRate = 1 << 10
    /// Maximum size of a request body in bytes; a larger one is refused with 413.
    public var bodyLimit = 1 << 20
    /// Bytes of a refused body that are read and dropped so that the client sees the refusal. After them, the
    /// connection is cut.
    public var drainLimit = 8 << 20
    /// Block size in bytes: the maximum asked of a source at a time. Each response holds one block while it is sent.
    /// Short bodies use blocks of a sixteenth of their length, but at least 64 KiB.
    public var blockSize = 1 << 20
    /// Bytes of all request bodies until their requests have been answered; beyond it, requests get 503.
    public var uploadMemory = 64 << 20
    /// Bytes that all responses being sent hold: their blocks, and bodies that are whole in memory. New responses use
    /// smaller blocks as this memory fills up, down to 16 KiB; if not even 16 KiB are free, they get 503. A chunked
    /// response counts up to 64 KiB for its stream, but its chunks go through the connection's memory.
    public var bodyMemory = 256 << 20
    /// Bytes of small responses that are kept for further requests with the same head; 0 keeps none.
    public var replyCacheSize = 8 << 20
    public var deferred = DeferredLimits()
    /// Certificate and key. With them, the daemon speaks TLS 1.2 or 1.3 and nothing else. `HTTPDaemon.renew` replaces
    /// them.
    public var identity: TLSIdentity?
    /// Receives messages, on any thread: faults of the service, and messages of the library, which are mostly about
    /// clients.
    public var log: @Sendable (_ message: String, _ isFault: Bool) -> Void = { _, _ in }

    public init() {}
}

/// Certificate and key of a server.
public struct TLSIdentity: Sendable {
    /// In PEM: the certificate, followed by its chain.
    public let certificate: String
    /// In PEM, not encrypted.
    public let key: String

    /// - Throws: `DaemonError.badCertificate` if they cannot be read or do not belong together.
    public init(certificate: String, key: String) throws(DaemonError) {
        if let fault = c_httpd_tls_fault(certificate, key) {
            throw .badCertificate(String(cString: fault))
        }
        self.certificate = certificate
        self.key = key
    }
}

/// Limits of deferred work. Its jobs are short or long by their `cost`; each kind has its own queue and memory.
public struct DeferredLimits: Sendable {
    /// Threads for long jobs. While no long job waits, they run short jobs, too.
    public var threadCount = 1
    /// Threads for short jobs only.
    public var shortThreadCount = 1
    /// Cost up to which a job is short.
    public var shortCost: Duration = .milliseconds(100)
    /// Jobs that may wait in each of the two queues; more are refused.
    public var queueLimit = 64
    /// Time after which a waiting job is refused.
    public var waitLimit: Duration = .seconds(30)
    /// Bytes held by all long jobs, and by their responses until they have been sent. A job that needs more is refused.
    public var memoryLimit = 1 << 30
    /// The same for short jobs. A job of low cost that needs more memory counts as long.
    public var shortMemoryLimit = 64 << 20
    /// Seconds after which a refused client is told to try again.
    public var retryAfterSeconds = 1

    public init() {}
}

extension DaemonConfiguration {
    /// The numeric address.
    var numericHost: String { Self.numericHost(host) }

    /// The numeric address of a host: `localhost` is 127.0.0.1.
    public static func numericHost(_ host: String) -> String {
        host == "localhost" ? "127.0.0.1" : host
    }
}

extension DaemonConfiguration: Configurable {
    public static let settings: [Setting<DaemonConfiguration>] = [
        Setting(
            "host",
            in: .addresses,
            \.host,
            "Numeric address to listen on, or localhost, which is 127.0.0.1; :: takes IPv4 as well."
        ),
        Setting("port", in: .addresses, \.port, 0...UInt16.max, "Port to listen on; 0 picks a free one."),
        Setting(
            "unix-socket",
            in: .addresses,
            \.socketPath,
            isFile: true,
            "Path of a Unix domain socket to listen at, instead of address and port."
        ),
        Setting("threads", in: .connections, \.threadCount, 2...1024, "Threads that serve connections."),
        Setting(
            "max-connections",
            in: .connections,
            \.connectionLimit,
            1...1_000_000,
            "Maximum number of open connections."
        ),
        Setting(
            "max-connections-per-address",
            in: .connections,
            \.connectionsPerAddress,
            0...1_000_000,
            "Maximum number of open connections from one address; 0 is no limit."
        ),
        Setting(
            "idle-timeout",
            in: .connections,
            \.idleTimeout,
            .seconds(1) ... .seconds(86400),
            "Seconds without traffic after which a connection is closed."
        ),
        Setting(
            "receive-timeout",
            in: .connections,
            \.receiveTimeout,
            .milliseconds(100) ... .seconds(86400),
            "Seconds in which a request must arrive."
        ),
        Setting(
            "min-receive-rate",
            in: .connections,
            \.minimumReceiveRate,
            0...1 << 30,
            of: "bytes per second",
            "Minimum average rate of a request's body in bytes per second, after 5 seconds; 0 is no limit."
        ),
        Setting(
            "max-head-bytes",
            in: .connections,
            \.connectionMemory,
            8 << 10...16 << 20,
            of: "bytes",
            "Buffer in bytes of each connection: the limit of a request's head."
        ),
        Setting(
            "block-bytes",
            in: .memory,
            \.blockSize,
            4 << 10...64 << 20,
            of: "bytes",
            """
            Block size in bytes. Each active reply buffers one block; bodies shorter than 16 blocks use blocks of a \
            sixteenth of their length.
            """
        ),
        Setting(
            "max-body-memory",
            in: .memory,
            \.bodyMemory,
            0...Int.max,
            of: "bytes",
            "Memory in bytes of all active replies, at least --block-bytes. New replies use smaller blocks as it fills up."
        ),
        Setting(
            "max-upload-memory",
            in: .memory,
            \.uploadMemory,
            0...Int.max,
            of: "bytes",
            """
            Memory in bytes of all request bodies until their requests are answered, at least --max-body-bytes; beyond it, \
            503.
            """
        ),
        Setting(
            "reply-cache-bytes",
            in: .memory,
            \.replyCacheSize,
            0...Int.max,
            of: "bytes",
            "Size in bytes of the cache of small replies to repeated requests; 0 turns it off."
        ),
        Setting(
            "work-threads",
            in: .memory,
            \.deferred.threadCount,
            1...256,
            "Threads for work before a reply's first byte (orthogonal, sparse, summary)."
        ),
        Setting(
            "work-queue",
            in: .memory,
            \.deferred.queueLimit,
            0...100_000,
            "Maximum number of jobs that wait for a work thread; the service answers further ones with 503."
        ),
        Setting(
            "work-timeout",
            in: .memory,
            \.deferred.waitLimit,
            .zero ... .seconds(86400),
            "Seconds that a job may wait for a work thread."
        ),
        Setting(
            "max-short-work-bytes",
            in: .memory,
            \.deferred.shortMemoryLimit,
            0...Int.max,
            of: "bytes",
            "Memory in bytes of jobs of less than 0.1 s, which have a thread and a queue of their own."
        ),
    ]

    /// - Throws: `DaemonError.invalidConfiguration`.
    func validate() throws(DaemonError) {
        // First: the ranges below are formed from these numbers.
        for setting in DaemonConfiguration.settings where !setting.isValid(in: self) {
            throw .invalidConfiguration("\(setting.name) must be \(setting.accepted ?? "different")")
        }
        let rules: [(holds: Bool, otherwise: String)] = [
            // With fewer connections than threads, the library hangs when it is stopped.
            (
                (threadCount...1_000_000).contains(connectionLimit),
                "max-connections must lie between the number of threads (\(threadCount)) and 1000000"
            ),
            (
                (0...connectionLimit).contains(connectionsPerAddress),
                "max-connections-per-address must lie between 0 and max-connections (\(connectionLimit))"
            ),
            ((0...1 << 30).contains(bodyLimit), "the body limit must be at most 1 GiB"),
            ((0...1 << 40).contains(drainLimit), "the drain limit must be at most 1 TiB"),
            (bodyMemory >= blockSize, "max-body-memory must be at least block-bytes (\(blockSize))"),
            (
                uploadMemory >= bodyLimit,
                "max-upload-memory must be at least max-body-bytes (\(bodyLimit))"
            ),
            ((1...256).contains(deferred.shortThreadCount), "threads for short work must be between 1 and 256"),
            (deferred.shortCost >= .zero, "the cost of short work must not be negative"),
            (
                deferred.memoryLimit >= 0 && deferred.shortMemoryLimit >= 0,
                "the memory for deferred work must not be negative"
            ),
        ]
        for rule in rules where !rule.holds {
            throw .invalidConfiguration(rule.otherwise)
        }
    }
}
