import CHTTPDaemon

/// Where the daemon listens and what it allows. The defaults suit a service behind a proxy.
public struct DaemonConfiguration: Sendable {
    /// Path of a socket in the file system to listen at, instead of an address. One that nobody listens at any more is replaced.
    public var socketPath: String?
    /// A numeric IPv4 or IPv6 address. `::` takes IPv4 as well.
    public var host = "127.0.0.1"
    /// 0 picks a free port.
    public var port: UInt16 = 8080
    /// Threads that serve connections. The library wants at least 2.
    public var threadCount = 2
    /// Connections open at the same time, over all threads. More wait in the kernel's queue.
    public var connectionLimit = 1024
    /// Connections open at the same time from one address. Off by default: behind a proxy everybody has one address.
    public var connectionsPerAddress: Int?
    /// Without traffic for so long, a connection is closed. Whole seconds.
    public var idleTimeout: Duration = .seconds(30)
    /// A request must have arrived whole so long after its connection was opened, or after its first line.
    public var receiveTimeout: Duration = .seconds(30)
    /// Bytes for the head of a request, buffers included. A longer head gets the library's own page: 414 or 431. The library
    /// clears all of it after each request: at 32 KiB that is a fourteenth of the time of a small one, and grows with the size.
    public var connectionMemory = 32 << 10
    /// Bytes of a request body; more is refused with 413.
    public var bodyLimit = 1 << 20
    /// Bytes of a refused body that are read and dropped so that the client sees the refusal; past them the connection is cut.
    public var drainLimit = 8 << 20
    /// Bytes asked of a source at a time, at most: of a short body it is a sixteenth, but at least 64 KiB. Memory of a
    /// response while it is sent.
    public var blockSize = 1 << 20
    /// Bytes of the blocks of all responses that are being sent. The less is left, the smaller the blocks of new ones, down
    /// to 16 KiB; where there is not even that, 503. What is sent in chunks goes through the connection's memory instead.
    public var bodyMemory = 256 << 20
    /// Bytes of small responses that are kept for further requests with the same head; 0 keeps none.
    public var replyCacheSize = 8 << 20
    /// Threads that work on one body: its connection's and, of those that all bodies share, others that make blocks ahead.
    public var threadsPerBody = 1
    public var deferred = DeferredLimits()
    /// With it the daemon speaks TLS, 1.2 or 1.3, and nothing else. `HTTPDaemon.renew` changes it.
    public var identity: TLSIdentity?
    /// Hears what there is to say, on any thread: a fault of the service, or what the library says, which is mostly of clients.
    public var log: @Sendable (_ message: String, _ isFault: Bool) -> Void = { _, _ in }

    public init() {}
}

/// What a server shows of itself.
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

/// What deferred work may take.
public struct DeferredLimits: Sendable {
    public var threadCount = 1
    /// Work that may wait; more is refused.
    public var queueLimit = 64
    /// Work that has waited so long is refused.
    public var waitLimit: Duration = .seconds(30)
    /// Bytes of all work running and of all its responses not yet sent. Work that needs more than this is refused.
    public var memoryLimit = 1 << 30
    /// What a refusal tells the client.
    public var retryAfterSeconds = 1

    public init() {}
}

extension DaemonConfiguration {
    /// - Throws: `DaemonError.invalidConfiguration`.
    func validate() throws(DaemonError) {
        let rules: [(holds: Bool, otherwise: String)] = [
            ((2...1024).contains(threadCount), "threads must be between 2 and 1024"),
            // With fewer connections than threads the library never stops again.
            (
                (threadCount...1_000_000).contains(connectionLimit),
                "the connection limit must lie between the number of threads (\(threadCount)) and 1000000"
            ),
            (
                connectionsPerAddress.map { (1...connectionLimit).contains($0) } ?? true,
                "the limit of connections per address must lie between 1 and the connection limit"
            ),
            ((.seconds(1) ... .seconds(86400)).contains(idleTimeout), "the idle timeout must be 1 s to 1 day"),
            (
                (.milliseconds(100) ... .seconds(86400)).contains(receiveTimeout),
                "the receive timeout must be 0.1 s to 1 day"
            ),
            ((8 << 10...16 << 20).contains(connectionMemory), "connection memory must be 8 KiB to 16 MiB"),
            ((0...1 << 30).contains(bodyLimit), "the body limit must be at most 1 GiB"),
            ((0...1 << 40).contains(drainLimit), "the drain limit must be at most 1 TiB"),
            ((4 << 10...64 << 20).contains(blockSize), "the block size must be 4 KiB to 64 MiB"),
            ((1...256).contains(threadsPerBody), "threads per request must be between 1 and 256"),
            (bodyMemory >= blockSize, "the memory for bodies must be at least the block size (\(blockSize))"),
            (replyCacheSize >= 0, "the memory for kept replies must not be negative"),
            ((1...256).contains(deferred.threadCount), "threads for deferred work must be between 1 and 256"),
            ((0...100_000).contains(deferred.queueLimit), "the queue of deferred work must be at most 100000 long"),
            (deferred.memoryLimit >= 0, "the memory for deferred work must not be negative"),
            (
                (.zero ... .seconds(86400)).contains(deferred.waitLimit),
                "deferred work must be allowed to wait for at most 1 day"
            ),
        ]
        for rule in rules where !rule.holds {
            throw .invalidConfiguration(rule.otherwise)
        }
    }
}
