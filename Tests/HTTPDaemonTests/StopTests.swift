import ByteSource
import Foundation
import HTTPDaemon
import HTTPExchange
import TestSupport
import Testing

/// The end of the drain ends all active requests: `stop` returns, and nothing is left.
@Suite("Stopping during requests of every kind")
struct StopTests {
    /// A body that never ends and gives bytes now and then, or none.
    private final class Endless: ByteStream, ByteSource {
        let byteCount = Int.max
        private let gate: Gate
        private let isSilent: Bool

        init(_ gate: Gate, isSilent: Bool) { (self.gate, self.isSilent) = (gate, isSilent) }

        func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
            if gate.arrived == 0 { gate.arrive() }
            usleep(1000)
            return isSilent ? 0 : min(destination.byteCount, 64)
        }

        func read(into destination: inout MutableRawSpan) -> Int? { read(at: 0, into: &destination) }
    }

    enum Kind: String, CaseIterable, Sendable {
        case slowReader, running, waiting, shortWaiting, source, silentSource, stream, silentStream, upload, head, idle
    }

    private static func stub(_ gate: Gate) -> Stub {
        @Sendable func work(_ cost: Duration) -> Reply {
            .deferred(
                DeferredWork(memory: 0, cost: cost) { isCancelled in
                    gate.arrive()
                    while !isCancelled() { usleep(1000) }
                    return .text("nobody reads this")
                }
            )
        }
        let large = Pattern.bytes(0..<8 << 20)
        return Stub([
            "/bytes": { _ in
                gate.arrive()
                return .ready(.ok(.bytes(large)))
            },
            "/long": { _ in work(.seconds(10)) }, "/short": { _ in work(.zero) },
            "/source": { _ in .ready(.ok(.source(Endless(gate, isSilent: false), range: 0..<1 << 40))) },
            "/silent": { _ in .ready(.ok(.source(Endless(gate, isSilent: true), range: 0..<1 << 40))) },
            "/stream": { _ in .ready(.ok(.stream(Endless(gate, isSilent: false)))) },
            "/mute": { _ in .ready(.ok(.stream(Endless(gate, isSilent: true)))) },
        ])
    }

    /// The bytes that the client sends, and a flag that the daemon counts an exchange for them.
    private static func bytes(of kind: Kind) -> (String, isExchange: Bool) {
        func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }
        return switch kind {
        case .slowReader: (get("/bytes"), true)
        case .running, .waiting: (get("/long"), true)
        case .shortWaiting: (get("/short"), true)
        case .source: (get("/source"), true)
        case .silentSource: (get("/silent"), true)
        case .stream: (get("/stream"), true)
        case .silentStream: (get("/mute"), true)
        case .upload: ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello", true)
        case .head: ("GET / HTTP/1.1\r\nHost:", true)
        case .idle: ("", false)
        }
    }

    @Test(arguments: Kind.allCases)
    func `ends them`(_ kind: Kind) throws {
        let gate = Gate()
        try withDaemon(Self.stub(gate), { $0.bodyMemory = 1 << 30 }) { daemon in
            let (bytes, isExchange) = Self.bytes(of: kind)
            // Waiting work needs other work before it.
            let count = kind == .waiting || kind == .shortWaiting ? 6 : 3
            let clients = try (0..<count).map { _ in
                let client = try RawClient(port: daemon.port, receiveBuffer: 4 << 10)
                client.send(bytes)
                return client
            }
            defer { withExtendedLifetime(clients) {} }
            #expect(
                eventually { daemon.activeExchanges == (isExchange ? count : 0) && daemon.openConnections == count }
            )
            if ![.upload, .head, .idle].contains(kind) { #expect(eventually { gate.arrived > 0 }) }
            daemon.quiesce()
            #expect(daemon.drain(for: .milliseconds(20)) == !isExchange)
            daemon.stop()
            #expect(daemon.activeExchanges == 0 && daemon.openConnections == 0)
            let load = daemon.load
            #expect(load.workMemory == 0 && load.bodyMemory == 0 && load.uploadMemory == 0)
        }
    }

    /// Once it is told to stop, the library itself reads through a null pointer when it refuses a request.
    @Test("Stopping works while the library refuses requests")
    func refusals() throws {
        for _ in 0..<50 {
            try withDaemon(Stub()) { daemon in
                let clients = try (0..<8).map { _ in try RawClient(port: daemon.port) }
                for client in clients { client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\n") }
                // The refusal arrives before the library has finished with the request.
                _ = try clients[0].readHead()
                daemon.stop()
                #expect(daemon.openConnections == 0)
            }
        }
    }
}
