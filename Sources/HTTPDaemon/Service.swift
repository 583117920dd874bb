import CHTTPDaemon
import Glibc
import HTTPExchange
import HTTPTypes
import Synchronization

/// What all exchanges of a daemon share.
final class Service: Sendable {
    /// How much later than a late request's refusal its connection is cut, so that the client can read it.
    static let grace: Duration = .seconds(5)

    let configuration: DaemonConfiguration
    let handler: any RequestHandler
    let pool: DeferredPool
    let bodyMemory: BodyMemory
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
        replies = ReplyCache(limit: configuration.replyCacheSize)
        bodyMemory = BodyMemory(
            limit: configuration.bodyMemory,
            blockSize: configuration.blockSize,
            connectionLimit: configuration.connectionLimit,
            readAheadPool: configuration.threadsPerBody > 1
                ? ReadAheadPool(threadCount: configuration.threadsPerBody - 1) : nil
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
            connection.receivedWhole()
            // What is kept has no body in its request.
            return bytes.isEmpty && connection.repetition?.handle.queue(on: handle) == true
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
        active.subtract(1, ordering: .releasing)
        var end = ExchangeEnd(
            method: .get,
            peer: connection.peer,
            status: status == 0 ? nil : status,
            nanoseconds: now.nanoseconds(since: connection.started),
            isWhole: isWhole && status != 0
        )
        if let exchange {
            exchange.complete(&end)
        } else {
            connection.repetition.take()?.complete(&end)
        }
        handler.ended(end)
    }
}
