import Foundation
import HTTPDaemon
import HTTPExchange
import TestSupport
import Testing

@Suite struct Lifecycle {
    static let hello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test func `a port in use is said to be taken`() throws {
        try withDaemon(Stub()) { daemon in
            var configuration = DaemonConfiguration()
            configuration.port = daemon.port
            let error = #expect(throws: DaemonError.self) {
                try HTTPDaemon(configuration: configuration, handler: Stub())
            }
            #expect(error == .portTaken(host: "127.0.0.1", port: daemon.port))
            #expect(error?.description == "Port \(daemon.port) on 127.0.0.1 is taken by another program.")
        }
    }

    @Test(arguments: ["", "localhost", "1.2.3.4.5", "example.org", "127.0.0.1 ", "::g"])
    func `a host that is no address is refused`(_ host: String) {
        var configuration = DaemonConfiguration()
        configuration.host = host
        #expect(throws: DaemonError.invalidAddress(host)) {
            try HTTPDaemon(configuration: configuration, handler: Stub())
        }
    }

    @Test func `an address of nobody here is refused`() {
        var configuration = DaemonConfiguration()
        configuration.host = "192.0.2.1"
        #expect(throws: DaemonError.addressNotAvailable("192.0.2.1")) {
            try HTTPDaemon(configuration: configuration, handler: Stub())
        }
    }

    @Test func `refusals by the system have their sentence`() {
        #expect(
            DaemonError.notPermitted(host: "::", port: 80).description == "This user may not listen on port 80 of ::."
        )
    }

    static let invalid: [@Sendable (inout DaemonConfiguration) -> Void] = [
        { $0.threadCount = 1 }, { $0.threadCount = 0 }, { $0.connectionLimit = 1 },
        {
            $0.threadCount = 8
            $0.connectionLimit = 7
        },
        { $0.connectionsPerAddress = 0 }, { $0.idleTimeout = .zero }, { $0.receiveTimeout = .zero },
        { $0.connectionMemory = 100 }, { $0.bodyLimit = -1 }, { $0.blockSize = 0 },
        { $0.deferred.threadCount = 0 }, { $0.deferred.queueLimit = -1 }, { $0.deferred.memoryLimit = -1 },
        { $0.deferred.waitLimit = .seconds(-1) }, { $0.drainLimit = -1 },
    ]

    @Test(arguments: invalid.indices)
    func `a configuration that cannot work is refused`(_ index: Int) {
        var configuration = DaemonConfiguration()
        configuration.port = 0
        Self.invalid[index](&configuration)
        let error = #expect(throws: DaemonError.self) {
            try HTTPDaemon(configuration: configuration, handler: Stub())
        }
        guard case .invalidConfiguration = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `IPv6 is served, and tells IPv4 peers as such`() throws {
        let stub = Stub()
        // A machine without IPv6 has nothing to test.
        guard let daemon = try? withDaemonOpen(stub, host: "::") else {
            return
        }
        defer { daemon.stop() }
        let client = try RawClient(port: daemon.port)
        client.send(Self.hello)
        #expect(try client.readResponse().status == 200)
        #expect(stub.requests.map(\.peer) == ["127.0.0.1"])
    }

    private func withDaemonOpen(_ stub: Stub, host: String) throws -> HTTPDaemon {
        var configuration = DaemonConfiguration()
        configuration.host = host
        configuration.port = 0
        return try HTTPDaemon(configuration: configuration, handler: stub)
    }

    @Test func `loopback connections use reno where the kernel has it`() throws {
        try withDaemon(Stub()) { daemon in
            let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(probe) }
            let hasReno = setsockopt(probe, Int32(IPPROTO_TCP), TCP_CONGESTION, "reno", 4) == 0
            let client = try RawClient(port: daemon.port)
            client.send(Self.hello)
            #expect(try client.readResponse().status == 200)
            guard hasReno else {
                return
            }
            #expect(acceptedSocketsUsingReno(of: daemon.port) == 1)
        }
    }

    /// The daemon lives in this process: its sockets are among the open descriptors.
    private func acceptedSocketsUsingReno(of port: UInt16) -> Int {
        (0..<1024).count { descriptor in
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isOurs = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(Int32(descriptor), $0, &size) == 0 }
            }
            var peer = sockaddr_in()
            size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isConnected = withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(Int32(descriptor), $0, &size) == 0 }
            }
            var name = [CChar](repeating: 0, count: 16)
            size = socklen_t(name.count)
            guard isOurs, isConnected, UInt16(bigEndian: address.sin_port) == port,
                getsockopt(Int32(descriptor), Int32(IPPROTO_TCP), TCP_CONGESTION, &name, &size) == 0
            else {
                return false
            }
            return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) == "reno"
        }
    }

    @Test func `connections beyond the limit wait for their turn`() throws {
        try withDaemon(Stub(), { $0.connectionLimit = 2 }) { daemon in
            var clients = try (0..<4).map { _ in try RawClient(port: daemon.port) }
            for client in clients {
                client.send(Self.hello)
            }
            #expect(daemon.openConnections <= 2)
            while !clients.isEmpty {
                var descriptors = clients.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
                #expect(poll(&descriptors, nfds_t(descriptors.count), 10_000) > 0)
                let index = try #require(descriptors.firstIndex { $0.revents != 0 })
                #expect(try clients[index].readResponse().status == 200)
                clients.remove(at: index)
            }
        }
    }

    @Test func `connections beyond the limit of an address are closed`() throws {
        try withDaemon(Stub(), { $0.connectionsPerAddress = 2 }) { daemon in
            let served = try (0..<2).map { _ in try RawClient(port: daemon.port) }
            defer { withExtendedLifetime(served) {} }
            for client in served {
                client.send(Self.hello)
                #expect(try client.readResponse().status == 200)
            }
            #expect(try RawClient(port: daemon.port).readToEnd().isEmpty)
        }
    }

    @Test func `an idle connection is closed`() throws {
        try withDaemon(Stub(), { $0.idleTimeout = .seconds(1) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.hello)
            #expect(try client.readResponse().status == 200)
            #expect(client.isAtEnd())
        }
    }

    @Test func `what is in flight at quiescing is finished, and nothing new accepted`() throws {
        let count = 32 << 20
        let stub = Stub(["/x": { _ in .ready(.ok(.source(Pattern(byteCount: count), range: 0..<count))) }])
        try withDaemon(stub) { daemon in
            let download = try RawClient(port: daemon.port, receiveBuffer: 16 << 10)
            download.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try download.readHead().status == 200)
            let open = try RawClient(port: daemon.port)
            open.send(Self.hello)
            #expect(try open.readResponse()["Connection"] == nil)

            daemon.quiesce()
            daemon.quiesce()
            #expect(!daemon.drain(for: .milliseconds(50)))
            #expect(throws: RawClient.Failure.self) { try RawClient(port: daemon.port) }
            // An open connection is served once more and told to go.
            open.send(Self.hello)
            #expect(try open.readResponse()["Connection"] == "close")
            #expect(open.isAtEnd())

            #expect(download.read(count).count == count)
            #expect(daemon.drain(for: .seconds(10)))
            #expect(daemon.activeExchanges == 0)
        }
    }

    @Test func `stopping cuts what is left, frees it, and may be repeated`() throws {
        let count = 1 << 30
        let traces = Traces()
        let stub = Stub([
            "/x": { _ in .ready(.ok(.source(Pattern(byteCount: count, traces: traces), range: 0..<count))) }
        ])
        try withDaemon(stub) { daemon in
            let download = try RawClient(port: daemon.port)
            download.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try download.readHead().status == 200)
            daemon.stop()
            daemon.stop()
            daemon.quiesce()
            #expect(traces.gone == 1)
            #expect(daemon.activeExchanges == 0 && daemon.openConnections == 0)
            #expect(throws: RawClient.Failure.self) { try RawClient(port: daemon.port) }
        }
    }

    @Test func `a daemon that nobody holds stops, and lets its handler go`() throws {
        weak var handler: Stub?
        try {
            let stub = Stub()
            handler = stub
            var configuration = DaemonConfiguration()
            configuration.port = 0
            let daemon = try HTTPDaemon(configuration: configuration, handler: stub)
            let client = try RawClient(port: daemon.port)
            client.send(Self.hello)
            #expect(try client.readResponse().status == 200)
        }()
        #expect(handler == nil)
    }

    @Test func `quiescing under load does not bring the process down`() throws {
        for _ in 0..<20 {
            try withDaemon(Stub()) { daemon in
                let clients = try (0..<8).map { _ in try RawClient(port: daemon.port) }
                let hellos = String(repeating: Self.hello, count: 200)
                for client in clients {
                    client.send(hellos)
                }
                for client in clients {
                    #expect(try client.readResponse().text == "/hello")
                }
                daemon.quiesce()
                #expect(throws: RawClient.Failure.self) { try RawClient(port: daemon.port) }
                #expect(daemon.drain(for: .seconds(10)))
            }
        }
    }
}
