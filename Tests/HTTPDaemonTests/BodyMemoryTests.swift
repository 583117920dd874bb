import Foundation
import HTTPDaemon
import HTTPExchange
import TestSupport
import Testing

@Suite("The memory of active bodies is bounded")
struct BodyMemoryTests {
    private static let byteCount = 1 << 30

    /// Connects clients, one after the other, that read the head of a response and then nothing more.
    private func slowClients(_ count: Int, of daemon: HTTPDaemon, _ traces: [Traces]) throws -> [RawClient] {
        try (0..<count).map { index in
            let client = try RawClient.slowReader(port: daemon.port, "/x", receiveBuffer: 4 << 10)
            #expect(eventually { traces[index].largestRead > 0 })
            return client
        }
    }

    /// A stub that serves one body per trace, in turn, because the clients ask one at a time.
    private func stub(_ traces: [Traces]) -> Stub {
        let next = Traces()
        return Stub([
            "/x": { _ in
                let index = next.made
                next.wasMade()
                return .ready(
                    .ok(
                        .source(
                            Pattern(byteCount: Self.byteCount, traces: index < traces.count ? traces[index] : nil),
                            range: 0..<Self.byteCount
                        )
                    )
                )
            }
        ])
    }

    @Test("Blocks shrink as memory fills up, and all connections are served")
    func blocksShrinkAsMemoryFillsUp() throws {
        let traces = (0..<40).map { _ in Traces() }
        let limit = 2 << 20
        try withDaemon(
            stub(traces),
            {
                $0.connectionLimit = 64
                $0.blockSize = 256 << 10
                $0.bodyMemory = limit
            }
        ) { daemon in
            let clients = try slowClients(40, of: daemon, traces)
            defer { withExtendedLifetime(clients) {} }
            let blocks = traces.map(\.largestRead)
            #expect(clients.count == 40)
            #expect(blocks.first == 256 << 10)
            #expect(blocks == blocks.sorted(by: >))
            #expect(blocks.last == 16 << 10)
            #expect(blocks.allSatisfy { $0 % (16 << 10) == 0 })
            // Enough memory is left for all connections that may still be opened.
            #expect(blocks.reduce(0, +) + 24 * (16 << 10) <= limit)
        }
    }

    @Test("Without memory a body is refused, and served again when others have ended")
    func withoutMemoryABodyIsRefused() throws {
        let traces = (0..<4).map { _ in Traces() }
        try withDaemon(
            stub(traces),
            {
                $0.connectionLimit = 64
                $0.blockSize = 16 << 10
                $0.bodyMemory = 64 << 10
            }
        ) { daemon in
            let clients = try slowClients(4, of: daemon, traces)
            // Optimised code would close the sockets of the clients after their last use.
            defer { withExtendedLifetime(clients) {} }
            let refused = try RawClient(port: daemon.port)
            #expect(try refused.get("/x").status == 503)
            // Short bodies and HEAD need no memory of active bodies.
            #expect(try refused.get("/y").text == "/y")
            refused.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try refused.readResponse(toHead: true).status == 200)
            clients[0].reset()
            #expect(eventually { daemon.activeExchanges == 3 })
            refused.sendGet("/x")
            #expect(try refused.readHead().status == 200)
        }
    }
}
