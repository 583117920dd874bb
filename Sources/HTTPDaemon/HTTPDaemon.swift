import CHTTPDaemon
import Glibc
public import HTTPExchange
import Synchronization

/// An HTTP/1.1 server: libmicrohttpd's threads in front of a `RequestHandler`.
///
/// To end it without failed requests: let readiness turn false, then call `quiesce()`, `drain(for:)` and `stop()`.
public final class HTTPDaemon: Sendable {
    /// The bound port; 0 for a Unix domain socket.
    public let port: UInt16
    private let service: Service
    /// `nil` once stopped. Used only under the lock, so that no call gets a freed daemon.
    private let handle: Mutex<OpaquePointer?>

    /// Binds, listens and serves.
    ///
    /// - Throws: `DaemonError`, which describes itself in one sentence.
    public convenience init(configuration: DaemonConfiguration, handler: any RequestHandler) throws(DaemonError) {
        try self.init(configuration: configuration, handler: handler, hasThreads: true)
    }

    /// - Parameter hasThreads: If false, the daemon listens nowhere; connections are adopted, and served by
    ///   ``run(waiting:)``.
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

    /// Requests whose first line has arrived and whose response has not been sent whole.
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

    /// Shows another certificate on new connections. Does nothing for a daemon without TLS.
    ///
    /// - Throws: `DaemonError.badCertificate`; then the old certificate stays in use.
    public func renew(_ identity: TLSIdentity) throws(DaemonError) {
        guard service.configuration.identity != nil else { return }
        let fault = handle.withLock { handle in
            handle.flatMap { c_httpd_renew_identity($0, identity.certificate, identity.key) }
                .map { String(cString: $0) }
        }
        if let fault { throw .badCertificate(fault) }
    }

    /// Serves one end of a socket pair. The daemon closes the descriptor in any case.
    func adopt(_ descriptor: Int32) -> Bool {
        handle.withLock { handle in
            guard let handle else {
                close(descriptor)
                return false
            }
            return c_httpd_adopt(handle, descriptor)
        }
    }

    /// Waits for something to do, then serves the connections of a daemon without threads. Must be called on the thread
    /// that adopts connections.
    func run(waiting milliseconds: Int32) {
        let handle = handle.withLock { handle in handle.map { UInt(bitPattern: $0) } }
        // Not under the lock: handlers may ask for the daemon's load.
        if let handle = handle.flatMap(OpaquePointer.init(bitPattern:)) { c_httpd_run(handle, milliseconds) }
    }

    /// Stops accepting connections. Open ones are still served; each closes after its next response.
    public func quiesce() {
        service.isQuiescing = true
        handle.withLock { handle in
            if let handle {
                c_httpd_quiesce(handle)
            }
        }
    }

    /// Waits until no exchange is active, at most for `limit`. A request that no thread has read yet is not active, so
    /// quiesce a moment after readiness has turned false.
    ///
    /// - Returns: `true` if no exchange is active.
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

    /// Cuts all connections and ends all threads. Cancels running jobs and waits for them. Does nothing the second
    /// time. Must not be called by a handler.
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

/// Passes strings to C for the time of a call.
private func withCStrings<Result>(
    _ text: String,
    _ others: [String?],
    _ body: (UnsafePointer<CChar>, [UnsafePointer<CChar>?]) -> Result
) -> Result {
    let copies = others.map { $0.flatMap { strdup($0) } }
    defer { copies.forEach { free($0) } }
    return text.withCString { body($0, copies.map { UnsafePointer($0) }) }
}
