import Foundation
import HTTPDaemon
import HTTPExchange
import TestSupport
import Testing

@Suite struct Lifecycle {
    @Test("A port in use is an error that says so")
    func aPortInUseIsAn() throws {
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

    @Test(
        "A host that is not an address is refused",
        arguments: ["", "localhost.", "1.2.3.4.5", "example.org", "127.0.0.1 ", "::g"]
    )
    func aHostThatIsNotAn(_ host: String) {
        var configuration = DaemonConfiguration()
        configuration.host = host
        #expect(throws: DaemonError.invalidAddress(host)) {
            try HTTPDaemon(configuration: configuration, handler: Stub())
        }
    }

    @Test("An address of no interface is refused")
    func anAddressOfNoInterfaceIs() {
        var configuration = DaemonConfiguration()
        configuration.host = "192.0.2.1"
        #expect(throws: DaemonError.addressNotAvailable("192.0.2.1")) {
            try HTTPDaemon(configuration: configuration, handler: Stub())
        }
    }

    @Test("Errors of the system are explained in a sentence")
    func errorsOfTheSystemHaveA() {
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
        { $0.connectionsPerAddress = -1 }, { $0.idleTimeout = .zero }, { $0.receiveTimeout = .zero },
        { $0.connectionMemory = 100 }, { $0.bodyLimit = -1 }, { $0.blockSize = 0 },
        { $0.deferred.threadCount = 0 }, { $0.deferred.queueLimit = -1 }, { $0.deferred.memoryLimit = -1 },
        { $0.deferred.waitLimit = .seconds(-1) }, { $0.drainLimit = -1 }, { $0.threadCount = 2_000_000 },
        { $0.connectionLimit = -1 },
    ]

    @Test("A configuration that cannot work is refused", arguments: invalid.indices)
    func aConfigurationThatCannotWorkIs(_ index: Int) {
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

    @Test("IPv6 is served, and IPv4 peers have IPv4 addresses")
    func ipv6IsServedAndIPv4Peers() throws {
        let stub = Stub()
        // A machine without IPv6 has nothing to test.
        guard let daemon = try? withDaemonOpen(stub, host: "::") else {
            return
        }
        defer { daemon.stop() }
        let client = try RawClient(port: daemon.port)
        #expect(try client.get("/hello").status == 200)
        #expect(stub.requests.map(\.peer) == ["127.0.0.1"])
    }

    private func withDaemonOpen(_ stub: Stub, host: String) throws -> HTTPDaemon {
        var configuration = DaemonConfiguration()
        configuration.host = host
        configuration.port = 0
        return try HTTPDaemon(configuration: configuration, handler: stub)
    }

    @Test("Loopback connections use reno if the kernel has it")
    func loopbackConnectionsUseRenoWhereThe() throws {
        try withDaemon(Stub()) { daemon in
            let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(probe) }
            let hasReno = setsockopt(probe, Int32(IPPROTO_TCP), TCP_CONGESTION, "reno", 4) == 0
            let client = try RawClient(port: daemon.port)
            #expect(try client.get("/hello").status == 200)
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

    @Test("Connections over the limit wait")
    func connectionsOverTheLimitWait() throws {
        try withDaemon(Stub(), { $0.connectionLimit = 2 }) { daemon in
            var clients = try (0..<4).map { _ in try RawClient(port: daemon.port) }
            for client in clients {
                client.sendGet("/hello")
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

    @Test("Connections over the limit of an address are closed")
    func connectionsOverTheLimitOfAn() throws {
        try withDaemon(Stub(), { $0.connectionsPerAddress = 2 }) { daemon in
            let served = try (0..<2).map { _ in try RawClient(port: daemon.port) }
            defer { withExtendedLifetime(served) {} }
            for client in served {
                #expect(try client.get("/hello").status == 200)
            }
            #expect(try RawClient(port: daemon.port).readToEnd().isEmpty)
        }
    }

    @Test("An idle connection is closed")
    func anIdleConnectionIsClosed() throws {
        try withClient({ $0.idleTimeout = .seconds(1) }) { client, _ throws in
            #expect(try client.get("/hello").status == 200)
            #expect(client.isAtEnd())
        }
    }

    @Test("Quiescing finishes active exchanges and accepts no new connections")
    func quiescingFinishesActiveExchangesAndAccepts() throws {
        let count = 32 << 20
        let stub = Stub(["/x": { _ in .pattern(count) }])
        try withDaemon(stub) { daemon in
            let download = try RawClient.slowReader(port: daemon.port, "/x")
            let open = try RawClient(port: daemon.port)
            #expect(try open.get("/hello")["Connection"] == nil)

            daemon.quiesce()
            daemon.quiesce()
            #expect(!daemon.drain(for: .milliseconds(50)))
            #expect(throws: RawClient.Failure.self) { try RawClient(port: daemon.port) }
            // An open connection is served once more, and the response closes it.
            #expect(try open.get("/hello")["Connection"] == "close")
            #expect(open.isAtEnd())

            #expect(download.read(count).count == count)
            #expect(daemon.drain(for: .seconds(10)))
            #expect(daemon.activeExchanges == 0)
        }
    }

    @Test("Stopping cuts off and frees active exchanges, and may be repeated")
    func stoppingCutsOffAndFreesActive() throws {
        let count = 1 << 30
        let traces = Traces()
        let stub = Stub(["/x": { _ in .pattern(count, traces) }])
        try withDaemon(stub) { daemon in
            let download = try RawClient(port: daemon.port)
            download.sendGet("/x")
            #expect(try download.readHead().status == 200)
            daemon.stop()
            daemon.stop()
            daemon.quiesce()
            #expect(traces.gone == 1)
            #expect(daemon.activeExchanges == 0 && daemon.openConnections == 0)
            #expect(throws: RawClient.Failure.self) { try RawClient(port: daemon.port) }
        }
    }

    @Test("An unreferenced daemon stops and frees its handler")
    func anUnreferencedDaemonStopsAndFrees() throws {
        weak var handler: Stub?
        try {
            let stub = Stub()
            handler = stub
            var configuration = DaemonConfiguration()
            configuration.port = 0
            let daemon = try HTTPDaemon(configuration: configuration, handler: stub)
            let client = try RawClient(port: daemon.port)
            #expect(try client.get("/hello").status == 200)
        }()
        #expect(handler == nil)
    }

    @Test("Quiescing under load does not crash the process")
    func quiescingUnderLoadDoesNotCrash() throws {
        for _ in 0..<20 {
            try withDaemon(Stub()) { daemon in
                let clients = try (0..<8).map { _ in try RawClient(port: daemon.port) }
                let hellos = String(repeating: Responses.get("/hello"), count: 200)
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
