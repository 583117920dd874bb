import CHTTPDaemon
public import Settings

/// Address and limits of a daemon. The defaults suit a service behind a proxy.
public struct DaemonConfiguration: Sendable {
    /// Path of a socket in the file system to listen at, instead of an address. One that nobody listens at any more is replaced.
    public var socketPath: String?
    /// A numeric IPv4 or IPv6 address, or `localhost`. `::` takes IPv4 as well.
    public var host = "127.0.0.1"
    /// 0 picks a free port.
    public var port: UInt16 = 8080
    /// Threads that serve connections. The library wants at least 2.
    public var threadCount = 2
    /// Connections open at the same time, over all threads. More wait in the kernel's queue.
    public var connectionLimit = 1024
    /// Connections open at the same time from one address; 0 is no limit, because behind a proxy everybody has one address.
    public var connectionsPerAddress = 0
    /// Without traffic for so long, a connection is closed. Whole seconds.
    public var idleTimeout: Duration = .seconds(30)
    /// A request must have arrived whole so long after its connection was opened, or after its first line.
    public var receiveTimeout: Duration = .seconds(30)
    /// Bytes for the head of a request, buffers included. A longer head gets the library's own page: 414 or 431. The library
    /// clears all of it after each request: at 32 KiB that is a fourteenth of the time of a small one, and grows with the size.
    public var connectionMemory = 32 << 10
    /// Bytes per second at which a request body must arrive on average, after 5 seconds; 0 is any.
    public var minimumReceiveRate = 1 << 10
    /// Bytes of a request body; more is refused with 413.
    public var bodyLimit = 1 << 20
    /// Bytes of a refused body that are read and dropped so that the client sees the refusal; past them the connection is cut.
    public var drainLimit = 8 << 20
    /// Bytes asked of a source at a time, at most: of a short body it is a sixteenth, but at least 64 KiB. Memory of a
    /// response while it is sent.
    public var blockSize = 1 << 20
    /// Bytes of all request bodies while they are received and until their requests have been answered; more get 503.
    public var uploadMemory = 64 << 20
    /// Bytes that all responses being sent hold: their blocks, and bodies that are whole in memory. The less is left, the
    /// smaller the blocks of new ones, down
    /// to 16 KiB; where there is not even that, 503. What is sent in chunks goes through the connection's memory instead.
    public var bodyMemory = 256 << 20
    /// Bytes of small responses that are kept for further requests with the same head; 0 keeps none.
    public var replyCacheSize = 8 << 20
    public var deferred = DeferredLimits()
    /// With it the daemon speaks TLS, 1.2 or 1.3, and nothing else. `HTTPDaemon.renew` changes it.
    public var identity: TLSIdentity?
    /// Hears what there is to say, on any thread: a fault of the service, or what the library says, which is mostly of clients.
    public var log: @Sendable (_ message: String, _ isFault: Bool) -> Void = { _, _ in }

    public init() {}
}

/// Certificate and key of a server.
public struct TLSIdentity: Sendable {
    /// In PEM: the certificate, then those that sign it.
    public let certificate: String
    /// In PEM, not encrypted.
    public let key: String

    /// - Throws: `DaemonError.badCertificate`, where they cannot be read or do not belong together.
    public init(certificate: String, key: String) throws(DaemonError) {
        if let fault = c_httpd_tls_fault(certificate, key) {
            throw .badCertificate(String(cString: fault))
        }
        self.certificate = certificate
        self.key = key
    }
}

/// Limits of deferred work. Work is short or long by its `cost`; each kind has a queue and memory of its own.
public struct DeferredLimits: Sendable {
    /// Threads for long work. They do short work, too, while no long work waits.
    public var threadCount = 1
    /// Threads for short work alone.
    public var shortThreadCount = 1
    /// The cost up to which work is short.
    public var shortCost: Duration = .milliseconds(100)
    /// Pieces of work that may wait in each of the two queues; more are refused.
    public var queueLimit = 64
    /// Work that has waited this long is refused.
    public var waitLimit: Duration = .seconds(30)
    /// Bytes held by all long work and by its responses until they have been sent. Work that needs more is refused.
    public var memoryLimit = 1 << 30
    /// The same for short work. Work of little cost that needs more counts as long.
    public var shortMemoryLimit = 64 << 20
    /// Seconds after which a refused client is told to try again.
    public var retryAfterSeconds = 1

    public init() {}
}

extension DaemonConfiguration {
    /// The address in numbers.
    var numericHost: String { Self.numericHost(host) }

    /// A host's address in numbers: `localhost` is 127.0.0.1.
    public static func numericHost(_ host: String) -> String {
        host == "localhost" ? "127.0.0.1" : host
    }
}

extension DaemonConfiguration: Configurable {
    public static let settings: [Setting<DaemonConfiguration>] = [
        Setting(
            "host",
            \.host,
            "Numeric address to listen on, or localhost, which is 127.0.0.1; :: takes IPv4 as well."
        ),
        Setting("port", \.port, 0...UInt16.max, "Port to listen on; 0 picks a free one."),
        Setting(
            "unix-socket",
            \.socketPath,
            isFile: true,
            "Path of a Unix domain socket to listen at, instead of address and port."
        ),
        Setting("threads", \.threadCount, 2...1024, "Threads that serve connections."),
        Setting("max-connections", \.connectionLimit, 1...1_000_000, "Maximum number of open connections."),
        Setting(
            "max-connections-per-address",
            \.connectionsPerAddress,
            0...1_000_000,
            "Maximum number of open connections from one address; 0 is no limit."
        ),
        Setting(
            "idle-timeout",
            \.idleTimeout,
            .seconds(1) ... .seconds(86400),
            "Seconds without traffic after which a connection is closed."
        ),
        Setting(
            "receive-timeout",
            \.receiveTimeout,
            .milliseconds(100) ... .seconds(86400),
            "Seconds in which a request must arrive."
        ),
        Setting(
            "min-receive-rate",
            \.minimumReceiveRate,
            0...1 << 30,
            of: "bytes per second",
            "Minimum average rate of a request's body in bytes per second, after 5 seconds; 0 is no limit."
        ),
        Setting(
            "max-head-bytes",
            \.connectionMemory,
            8 << 10...16 << 20,
            of: "bytes",
            "Buffer in bytes of each connection: the limit of a request's head."
        ),
        Setting(
            "block-bytes",
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
            \.bodyMemory,
            0...Int.max,
            of: "bytes",
            "Memory in bytes of all active replies. New replies use smaller blocks as it fills up."
        ),
        Setting(
            "max-upload-memory",
            \.uploadMemory,
            0...Int.max,
            of: "bytes",
            "Memory in bytes of all request bodies until their requests are answered; beyond it, 503."
        ),
        Setting(
            "reply-cache-bytes",
            \.replyCacheSize,
            0...Int.max,
            of: "bytes",
            "Size in bytes of the cache of small replies to repeated requests; 0 turns it off."
        ),
        Setting(
            "work-threads",
            \.deferred.threadCount,
            1...256,
            "Threads for work before a reply's first byte (orthogonal, sparse, summary)."
        ),
        Setting(
            "work-queue",
            \.deferred.queueLimit,
            0...100_000,
            "Maximum number of jobs that wait for a work thread; the service answers further ones with 503."
        ),
        Setting(
            "work-timeout",
            \.deferred.waitLimit,
            .zero ... .seconds(86400),
            "Seconds that a job may wait for a work thread."
        ),
        Setting(
            "max-short-work-bytes",
            \.deferred.shortMemoryLimit,
            0...Int.max,
            of: "bytes",
            "Memory in bytes of jobs of less than 0.1 s, which have a thread and a queue of their own."
        ),
    ]

    /// - Throws: `DaemonError.invalidConfiguration`.
    func validate() throws(DaemonError) {
        let rules: [(holds: Bool, otherwise: String)] = [
            // With fewer connections than threads the library never stops again.
            (
                (threadCount...1_000_000).contains(connectionLimit),
                "max-connections must lie between the number of threads (\(threadCount)) and 1000000"
            ),
            (
                (0...connectionLimit).contains(connectionsPerAddress),
                "the limit of connections per address must lie between 0 and the connection limit"
            ),
            ((0...1 << 30).contains(bodyLimit), "the body limit must be at most 1 GiB"),
            ((0...1 << 40).contains(drainLimit), "the drain limit must be at most 1 TiB"),
            (bodyMemory >= blockSize, "max-body-memory must be at least block-bytes (\(blockSize))"),
            (
                uploadMemory >= bodyLimit,
                "max-upload-memory must be at least the limit of a request's body (\(bodyLimit))"
            ),
            ((1...256).contains(deferred.shortThreadCount), "threads for short work must be between 1 and 256"),
            (deferred.shortCost >= .zero, "the cost of short work must not be negative"),
            (
                deferred.memoryLimit >= 0 && deferred.shortMemoryLimit >= 0,
                "the memory for deferred work must not be negative"
            ),
        ]
        for setting in DaemonConfiguration.settings where !setting.isValid(in: self) {
            throw .invalidConfiguration("\(setting.name) must be \(setting.accepted ?? "different")")
        }
        for rule in rules where !rule.holds {
            throw .invalidConfiguration(rule.otherwise)
        }
    }
}
