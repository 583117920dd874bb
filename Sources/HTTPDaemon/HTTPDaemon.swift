import CHTTPDaemon
import Glibc
public import HTTPExchange
import Synchronization

/// An HTTP/1.1 server: libmicrohttpd's threads in front of a `RequestHandler`.
///
/// Ending it so that nobody notices: let readiness turn false, `quiesce()`, `drain(for:)`, `stop()`.
public final class HTTPDaemon: Sendable {
    /// The port bound; 0 for a socket of the file system.
    public let port: UInt16
    private let service: Service
    /// `nil` once stopped. Used under the lock only, so that no call meets a freed daemon.
    private let handle: Mutex<OpaquePointer?>

    /// Binds, listens and serves.
    ///
    /// - Throws: `DaemonError`, which describes itself in one sentence.
    public convenience init(configuration: DaemonConfiguration, handler: any RequestHandler) throws(DaemonError) {
        try self.init(configuration: configuration, handler: handler, hasThreads: true)
    }

    /// - Parameter hasThreads: False listens nowhere, and connections are adopted and served by ``run(waiting:)``.
    init(configuration: DaemonConfiguration, handler: any RequestHandler, hasThreads: Bool) throws(DaemonError) {
        try configuration.validate()
        let service = Service(configuration: configuration, handler: handler)
        // Released by stop(), when no callback can come any more.
        let context = Unmanaged.passRetained(service)
        var failure = c_httpd_failure()
        let identity = configuration.identity
        let texts = [configuration.socketPath, identity?.certificate, identity?.key]
        let started = withCStrings(configuration.numericHost, texts) { host, texts in
            var options = c_httpd_options(
                socket_path: texts[0],
                host: host,
                port: configuration.port,
                thread_count: hasThreads ? UInt32(configuration.threadCount) : 0,
                connection_limit: UInt32(configuration.connectionLimit),
                connections_per_address: UInt32(configuration.connectionsPerAddress),
                idle_seconds: UInt32(configuration.idleTimeout.components.seconds),
                connection_memory: configuration.connectionMemory,
                tls_certificate: texts[1],
                tls_key: texts[2]
            )
            var callbacks = Service.callbacks
            return c_httpd_start(&options, &callbacks, context.toOpaque(), &failure)
        }
        guard let started else {
            context.release()
            throw DaemonError(failure, configuration: configuration)
        }
        do throws(DaemonError) {
            try service.pool.start()
            try service.freeing.start()
            try service.startCutting()
        } catch {
            Self.end(started, service)
            throw error
        }
        self.service = service
        port = c_httpd_port(started)
        handle = Mutex(started)
    }

    deinit {
        stop()
    }

    /// Requests whose first line has arrived and whose response has not gone out whole.
    public var activeExchanges: Int {
        service.activeExchanges
    }

    /// Open connections, idle ones included.
    public var openConnections: Int {
        service.connections.count
    }

    /// Current load.
    public var load: TransportLoad {
        var load = service.pool.load
        load.activeExchanges = activeExchanges
        load.openConnections = openConnections
        load.connectionLimit = service.configuration.connectionLimit
        (load.repeatedRequests, load.replyCacheBytes) = service.replies.load
        load.bodyMemory = service.bodyMemory.held
        load.uploadMemory = service.uploadMemory.held
        return load
    }

    /// Shows another certificate to those who connect from now on. Does nothing for a daemon that speaks no TLS.
    ///
    /// - Throws: `DaemonError.badCertificate`; then it shows the one it had.
    public func renew(_ identity: TLSIdentity) throws(DaemonError) {
        guard service.configuration.identity != nil else { return }
        let fault = handle.withLock { handle in
            handle.flatMap { c_httpd_renew_identity($0, identity.certificate, identity.key) }
                .map { String(cString: $0) }
        }
        if let fault { throw .badCertificate(fault) }
    }

    /// Serves one end of a socket pair, which this closes in any case.
    func adopt(_ descriptor: Int32) -> Bool {
        handle.withLock { handle in
            guard let handle else {
                close(descriptor)
                return false
            }
            return c_httpd_adopt(handle, descriptor)
        }
    }

    /// Serves connections of a daemon without threads, having waited for something to do. Always on one thread, which is the
    /// one that adopts them.
    func run(waiting milliseconds: Int32) {
        let handle = handle.withLock { handle in handle.map { UInt(bitPattern: $0) } }
        // Not under the lock: handlers may ask for the daemon's load.
        if let handle = handle.flatMap(OpaquePointer.init(bitPattern:)) { c_httpd_run(handle, milliseconds) }
    }

    /// Accepts no more connections. Those open are served on; each closes with its next response.
    public func quiesce() {
        service.isQuiescing = true
        handle.withLock { handle in
            if let handle {
                c_httpd_quiesce(handle)
            }
        }
    }

    /// Waits until no exchange is in flight, at most for `limit`. What a client has sent and no thread has read yet is not
    /// in flight: quiesce a moment after readiness has turned false.
    ///
    /// - Returns: Whether none is.
    public func drain(for limit: Duration) -> Bool {
        let deadline = Timestamp.now + limit
        while activeExchanges > 0 {
            guard .now < deadline else {
                return false
            }
            usleep(2_000)
        }
        return true
    }

    /// Cuts all connections and ends all threads; waits for deferred work that is running, which is told to end.
    /// Does nothing the second time. Not to be called by a handler.
    public func stop() {
        let handle = handle.withLock { handle in
            defer { handle = nil }
            return handle.map { UInt(bitPattern: $0) }
        }
        guard let handle = handle.flatMap(OpaquePointer.init(bitPattern:)) else {
            return
        }
        Self.end(handle, service)
    }

    private static func end(_ handle: OpaquePointer, _ service: Service) {
        // No suspended connection may be left when the library stops.
        service.pool.stop()
        service.connections.stopCutting()
        c_httpd_quiesce(handle)
        service.connections.cutAll()
        c_httpd_stop(handle)
        service.pool.join()
        service.freeing.stop()
        Unmanaged.passUnretained(service).release()
    }
}

/// Strings for C, for the time of a call.
private func withCStrings<Result>(
    _ text: String,
    _ others: [String?],
    _ body: (UnsafePointer<CChar>, [UnsafePointer<CChar>?]) -> Result
) -> Result {
    let copies = others.map { $0.flatMap { strdup($0) } }
    defer { copies.forEach { free($0) } }
    return text.withCString { body($0, copies.map { UnsafePointer($0) }) }
}
