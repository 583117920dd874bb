import CHTTPDaemon
import Glibc
import HTTPExchange
import HTTPTypes
import Synchronization

/// State shared by all exchanges of a daemon.
final class Service: Sendable {
    /// Time between the refusal of a late request and the end of its connection, so that the client can read the
    /// refusal.
    static let grace: Duration = .seconds(5)

    let configuration: DaemonConfiguration
    let handler: any RequestHandler
    let pool: DeferredPool
    let freeing = FreeingThread()
    let bodyMemory: BodyMemory
    let uploadMemory: UploadMemory
    let replies: ReplyCache
    let connections = Connections()
    /// Nanoseconds until a request must have arrived, and until the next one on an idle connection must have.
    private let receiveAllowance: UInt64
    private let idleAllowance: UInt64
    private let active = Atomic(0)
    private let quiescing = Atomic(false)

    init(configuration: DaemonConfiguration, handler: any RequestHandler) {
        self.configuration = configuration
        self.handler = handler
        receiveAllowance = (configuration.receiveTimeout + Self.grace).clampedNanoseconds
        idleAllowance = (configuration.idleTimeout + configuration.receiveTimeout).clampedNanoseconds
        pool = DeferredPool(limits: configuration.deferred)
        uploadMemory = UploadMemory(limit: configuration.uploadMemory)
        replies = ReplyCache(limit: configuration.replyCacheSize)
        bodyMemory = BodyMemory(
            limit: configuration.bodyMemory,
            blockSize: configuration.blockSize,
            connectionLimit: configuration.connectionLimit
        )
    }

    var activeExchanges: Int {
        active.load(ordering: .acquiring)
    }

    /// `true` if every response closes its connection, so that the client's next request goes to another replica.
    var isQuiescing: Bool {
        get { quiescing.load(ordering: .relaxed) }
        set { quiescing.store(newValue, ordering: .relaxed) }
    }
}

extension Service {
    /// Trampolines from C. The context is the service. A connection's context is a `Connection`. A request's context is
    /// an `Exchange` or, if it needs none, the connection's context. Each context is retained at its start and released
    /// at its end.
    static var callbacks: c_httpd_callbacks {
        c_httpd_callbacks(
            connection_opened: { service, descriptor, peer in
                Service.at(service).open(descriptor, peer: peer.map { String(cString: $0) }).toOpaque()
            },
            connection_closed: { service, connection in
                Service.at(service).close(connection)
            },
            request_started: { service, connection, target in
                Service.with(service, connection) { $0.begin($1, target: target) }
            },
            request_continued: { service, connection, request, handle, method, version, bytes, count in
                Service.with(service, connection) {
                    $0.proceed(
                        $1,
                        &request.pointee,
                        on: handle,
                        method: method,
                        version: version,
                        bytes: UnsafeBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
                    )
                }
            },
            request_ended: { service, connection, request, status, isWhole in
                let exchange = request == connection ? nil : Unmanaged<Exchange>.fromOpaque(request).takeRetainedValue()
                Service.with(service, connection) { $0.end($1, exchange, status: Int(status), isWhole: isWhole) }
            },
            length_refused: { service, connection, status, bytes, capacity in
                Service.with(service, connection) {
                    $0.refuseLength(
                        $1,
                        isTooLarge: status == 413,
                        UnsafeMutableBufferPointer(start: bytes, count: capacity)
                    )
                }
            },
            log: { service, message in
                Service.at(service).configuration.log(String(cString: message), false)
            }
        )
    }

    private static func at(_ pointer: UnsafeMutableRawPointer) -> Service {
        Unmanaged<Service>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Calls `body` without counting references, which would take a good part of a small request's time. Both objects
    /// are held elsewhere as long as a callback can come.
    private static func with<Result>(
        _ service: UnsafeMutableRawPointer,
        _ connection: UnsafeMutableRawPointer,
        _ body: (Service, Connection) -> Result
    ) -> Result {
        Unmanaged<Service>.fromOpaque(service)._withUnsafeGuaranteedRef { service in
            Unmanaged<Connection>.fromOpaque(connection)._withUnsafeGuaranteedRef { connection in
                body(service, connection)
            }
        }
    }

    private func open(_ descriptor: Int32, peer: String?) -> Unmanaged<Connection> {
        let connection = Connection(
            descriptor: descriptor,
            peer: peer,
            due: Timestamp.now.advanced(by: receiveAllowance)
        )
        connections.add(connection)
        // Released by connection_closed.
        return Unmanaged.passRetained(connection)
    }

    private func close(_ pointer: UnsafeMutableRawPointer) {
        connections.remove(Unmanaged<Connection>.fromOpaque(pointer).takeRetainedValue())
    }

    /// - Parameter target: `nil` if the request line has none.
    private func begin(_ connection: Connection, target: UnsafePointer<CChar>?) {
        let now = Timestamp.now
        connection.begin(
            // The pointer lives as long as the request's first line.
            target: UnsafeBufferPointer(
                start: target.map { UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) },
                count: target.map { strlen($0) } ?? 0
            ),
            at: now
        )
        connection.due = now.advanced(by: receiveAllowance)
        active.add(1, ordering: .relaxed)
    }

    /// Writes the refusal of a head whose length the library cannot read.
    ///
    /// - Returns: Number of bytes written to `destination`; 0 for no response.
    private func refuseLength(
        _ connection: Connection,
        isTooLarge: Bool,
        _ destination: UnsafeMutableBufferPointer<UInt8>
    ) -> Int {
        var count = 0
        connection.refuse { target in
            let refusal: Refusal =
                isTooLarge
                ? .bodyTooLarge(limit: configuration.bodyLimit) : .malformed("content-length is not a number of bytes")
            guard let response = lastResponse(refusal, target: target), response.bytes.count <= destination.count else {
                return nil
            }
            count = response.bytes.count
            _ = destination.update(fromContentsOf: response.bytes)
            return response
        }
        return count
    }

    /// A refusal that is sent without the library.
    private func lastResponse(_ refusal: Refusal, target: [UInt8]) -> LastResponse? {
        // Only the target of the request is known.
        let head = RequestHead(method: .get, target: String(decoding: target, as: UTF8.self))
        return LastResponse(handler.refuse(refusal, head: head))
    }

    /// Starts ending the connections whose request takes too long to arrive.
    func startCutting() throws(DaemonError) {
        try connections.startCutting(every: min(.seconds(1), configuration.receiveTimeout)) { [self] target in
            // A GnuTLS session must not be used by a second thread.
            configuration.identity == nil ? lastResponse(.timedOut, target: target) : nil
        }
    }

    /// Continues a request: the library has part of it, has reached its end, or has resumed the connection. Returning
    /// false cuts the connection.
    private func proceed(
        _ connection: Connection,
        _ request: inout UnsafeMutableRawPointer,
        on handle: OpaquePointer,
        method: UnsafePointer<CChar>,
        version: UnsafePointer<CChar>,
        bytes: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        let exchange: Exchange
        if request != Unmanaged.passUnretained(connection).toOpaque() {
            exchange = Unmanaged<Exchange>.fromOpaque(request).takeUnretainedValue()
        } else if connection.repetition != nil {
            // Only requests without a body have kept replies.
            return connection.receivedWhole() && bytes.isEmpty
                && connection.repetition?.handle.queue(on: handle) == true
        } else {
            var key: [UInt8]?
            // Kept replies do not say that they close the connection.
            switch isQuiescing ? .new : replies.match(handle, method, version, target: connection.target) {
            case .kept(let reply):
                connection.repetition = reply.lend()
                if connection.repetition != nil { return true }
            case .again(let found): key = found
            case .new: break
            }
            exchange = Exchange(service: self, connection: connection, replyKey: key)
            // Released by request_ended.
            request = Unmanaged.passRetained(exchange).toOpaque()
        }
        return exchange.proceed(on: handle, method: method, version: version, bytes: bytes)
    }

    /// Completes a request when the library is done with it.
    ///
    /// - Parameter status: Status of the response, also if the library made it; 0 if there was none.
    private func end(_ connection: Connection, _ exchange: Exchange?, status: Int, isWhole: Bool) {
        let now = Timestamp.now
        connection.due = now.advanced(by: idleAllowance)
        if connection.isFramedByItsEnd {
            if !isWhole { c_httpd_reset(connection.descriptor) }
            connection.isFramedByItsEnd = false
        }
        active.subtract(1, ordering: .releasing)
        var end = ExchangeEnd(method: .get, status: status == 0 ? nil : status)
        end.peer = connection.peer
        end.nanoseconds = now.nanoseconds(since: connection.started)
        end.isWhole = isWhole && status != 0
        if let exchange {
            exchange.complete(&end)
        } else {
            connection.repetition.take()?.complete(&end)
        }
        if let last = connection.takeLast() {
            (end.status, end.note, end.bodyByteCount, end.isWhole) = (last.status, last.note, last.bodyByteCount, true)
        }
        handler.ended(end)
    }
}
