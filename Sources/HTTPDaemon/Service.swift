import CHTTPDaemon
import Glibc
import HTTPExchange
import HTTPTypes
import Synchronization

/// State shared by all exchanges of a daemon.
final class Service: Sendable {
    /// How much later than a late request's refusal its connection is cut, so that the client can read it.
    static let grace: Duration = .seconds(5)

    let configuration: DaemonConfiguration
    let handler: any RequestHandler
    let pool: DeferredPool
    let freeing = FreeingThread()
    let bodyMemory: BodyMemory
    let uploadMemory: UploadMemory
    let replies: ReplyCache
    let connections = Connections()
    /// Nanoseconds in which a request must have arrived, and with which the next one must have.
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

    /// From here on every response closes its connection: the client's next request goes to another replica.
    var isQuiescing: Bool {
        get { quiescing.load(ordering: .relaxed) }
        set { quiescing.store(newValue, ordering: .relaxed) }
    }
}

extension Service {
    /// The trampolines from C. The context is the service; a connection's context is a `Connection`, a request's an `Exchange`
    /// or, where it has none, the connection's; each is retained where it starts and released where it ends.
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

    /// Both are held elsewhere for as long as a callback can come: counting references to them would be a good part of a small
    /// request.
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

    /// - Parameter target: `nil` where the request line has none.
    private func begin(_ connection: Connection, target: UnsafePointer<CChar>?) {
        let now = Timestamp.now
        connection.begin(
            // As long as the request's first line.
            target: UnsafeBufferPointer(
                start: target.map { UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) },
                count: target.map { strlen($0) } ?? 0
            ),
            at: now
        )
        connection.due = now.advanced(by: receiveAllowance)
        active.add(1, ordering: .relaxed)
    }

    /// The library refuses a head for its length, and leaves the words to us.
    ///
    /// - Returns: Bytes of the response, written to `destination`; 0 for none.
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

    /// A refusal that goes past the library.
    private func lastResponse(_ refusal: Refusal, target: [UInt8]) -> LastResponse? {
        // Of the request, nothing but the target is known.
        let path = String(decoding: target, as: UTF8.self)
        let head = HTTPRequest(method: .get, scheme: nil, authority: nil, path: path)
        return LastResponse(handler.refuse(refusal, head: head))
    }

    /// Starts ending the connections whose request takes too long to arrive.
    func startCutting() throws(DaemonError) {
        try connections.startCutting(every: min(.seconds(1), configuration.receiveTimeout)) { [self] target in
            // GnuTLS takes nothing from a second thread.
            configuration.identity == nil ? lastResponse(.timedOut, target: target) : nil
        }
    }

    /// The library has something of the request, or its end, or has come back from a suspension. False cuts the connection.
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
            // What is kept has no body in its request.
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

    /// The library is done with a request, whichever way it ended.
    ///
    /// - Parameter status: Of the response, the library's own included; 0 where there was none.
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
