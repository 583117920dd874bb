import CHTTPDaemon
import HTTPExchange
import Synchronization

/// What all exchanges of a daemon share.
final class Service: Sendable {
    /// How much later than a late request's refusal its connection is cut, so that the client can read it.
    static let grace: Duration = .seconds(5)

    let configuration: DaemonConfiguration
    let handler: any RequestHandler
    let pool: DeferredPool
    let bodyMemory: BodyMemory
    let connections = Connections()
    private let active = Atomic(0)
    private let quiescing = Atomic(false)

    init(configuration: DaemonConfiguration, handler: any RequestHandler) {
        self.configuration = configuration
        self.handler = handler
        pool = DeferredPool(limits: configuration.deferred)
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

    func exchangeStarted() {
        active.add(1, ordering: .relaxed)
    }

    func exchangeEnded() {
        active.subtract(1, ordering: .releasing)
    }

    /// From here on every response closes its connection: the client's next request goes to another replica.
    var isQuiescing: Bool {
        get { quiescing.load(ordering: .relaxed) }
        set { quiescing.store(newValue, ordering: .relaxed) }
    }
}

extension Service {
    /// The trampolines from C. The context is the service; a connection's and a request's context are a `Connection` and an
    /// `Exchange`, each retained where it starts and released where it ends.
    static var callbacks: c_httpd_callbacks {
        c_httpd_callbacks(
            connection_opened: { service, descriptor, peer in
                Service.at(service).open(descriptor, peer: peer.map { String(cString: $0) }).toOpaque()
            },
            connection_closed: { service, connection in
                Service.at(service).close(connection)
            },
            request_started: { service, connection, target in
                // Released by request_ended.
                Unmanaged.passRetained(
                    Exchange(service: .at(service), connection: Connection.at(connection), target: target)
                ).toOpaque()
            },
            request_continued: { _, exchange, connection, method, version, bytes, count in
                guard let exchange else { return false }
                return Unmanaged<Exchange>.fromOpaque(exchange).takeUnretainedValue().proceed(
                    on: connection,
                    method: method,
                    version: version,
                    bytes: UnsafeBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
                )
            },
            request_ended: { _, exchange, status, isWhole in
                guard let exchange else { return }
                Unmanaged<Exchange>.fromOpaque(exchange).takeRetainedValue().end(status: Int(status), isWhole: isWhole)
            },
            log: { service, message in
                Service.at(service).configuration.log(String(cString: message), false)
            }
        )
    }

    private static func at(_ pointer: UnsafeMutableRawPointer) -> Service {
        Unmanaged<Service>.fromOpaque(pointer).takeUnretainedValue()
    }

    private func open(_ descriptor: Int32, peer: String?) -> Unmanaged<Connection> {
        let connection = Connection(
            descriptor: descriptor,
            peer: peer,
            due: .now + configuration.receiveTimeout + Self.grace
        )
        connections.add(connection)
        // Released by connection_closed.
        return Unmanaged.passRetained(connection)
    }

    private func close(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else {
            return
        }
        connections.remove(Unmanaged<Connection>.fromOpaque(pointer).takeRetainedValue())
    }
}

extension Connection {
    fileprivate static func at(_ pointer: UnsafeMutableRawPointer?) -> Connection? {
        pointer.map { Unmanaged<Connection>.fromOpaque($0).takeUnretainedValue() }
    }
}
