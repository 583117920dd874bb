import Foundation
import HTTPDaemon
import InitAPI
import TestSupport
import Testing

@testable import InitService

/// Effects of one request on others, tested by order and not by time.
@Suite("Requests do not block each other", .serialized)
struct ConcurrencyTests {
    /// A client that has requested the first 16 bytes of an orthogonal matrix.
    private func ask(_ daemon: HTTPDaemon, side: Int, seed: Int) throws -> RawClient {
        let client = try RawClient(port: daemon.port)
        client.send(
            "GET /init?method=orthogonal&shape=\(side),\(side)&seed=\(seed)&format=raw HTTP/1.1\r\n"
                + "Host: a\r\nRange: bytes=0-15\r\n\r\n"
        )
        return client
    }

    private func hasAnswer(_ client: RawClient, within milliseconds: Int32 = 0) -> Bool {
        var descriptor = pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, milliseconds) == 1
    }

    @Test("A thousand small replies come back before the first of eight large decompositions")
    func order() throws {
        try withDaemon { daemon, _ in
            let large = try (0..<8).map { try ask(daemon, side: 4096, seed: $0) }
            #expect(eventually { daemon.activeExchanges == 8 })
            let caller = Caller(port: daemon.port)
            for number in 0..<1000 {
                let reply = try caller.get("/gain?nonlinearity=leaky_relu&param=\(number)")
                #expect(reply.status == 200)
            }
            #expect(large.allSatisfy { !hasAnswer($0) })
            // Decompositions that have not begun are dropped with their clients; those that run end when they are done.
            for client in large.dropFirst() { client.finishSending() }
            #expect(eventually { daemon.activeExchanges == 1 })
            #expect(hasAnswer(large[0], within: 600_000))
            #expect(try large[0].readResponse().status == 206)
        }
    }

    @Test("A full queue gets 503 with Retry-After")
    func queue() throws {
        try withDaemon({ $0.deferred.queueLimit = 1 }) { daemon, _ in
            let accepted = try (0..<2).map { seed in
                let client = try ask(daemon, side: 2048, seed: seed)
                #expect(eventually { daemon.activeExchanges == seed + 1 })
                return client
            }
            let refused = try ask(daemon, side: 2048, seed: 2).readResponse()
            try refused.expectProblem(503)
            #expect(refused["Retry-After"].flatMap(Int.init) ?? 0 >= 1)
            #expect(accepted.allSatisfy { !hasAnswer($0) })
        }
    }

    @Test("Work that waits too long is refused")
    func deadline() throws {
        try withDaemon({ $0.deferred.waitLimit = .milliseconds(50) }) { daemon, _ in
            let running = try ask(daemon, side: 2048, seed: 0)
            #expect(eventually { daemon.activeExchanges == 1 })
            let late = try ask(daemon, side: 2048, seed: 1).readResponse()
            try late.expectProblem(503)
            #expect(!hasAnswer(running))
        }
    }

    @Test("Counting stops when its client has gone", arguments: [true, false])
    func counting(_ resets: Bool) throws {
        try withDaemon { daemon, service in
            // 2^32 truncated normals would take minutes.
            let json =
                #"{"tensors":[{"method":"trunc_normal","shape":[4294967296]},{"name":"x","method":"normal","shape":[2]}],"#
                + #""slices":{"0":":1"}}"#
            let client = try RawClient(port: daemon.port)
            client.send(
                "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: \(json.utf8.count)\r\n\r\n"
                    + json
            )
            #expect(eventually { service.operations.preparations.madeCount == 1 })
            if resets { client.reset() } else { client.finishSending() }
            #expect(eventually { daemon.activeExchanges == 0 })
            // The only thread for deferred work is free again.
            #expect(try ask(daemon, side: 8, seed: 0).readResponse().status == 206)
        }
    }

    @Test("Sixteen simultaneous ranges need one decomposition and together are the whole body")
    func ranges() throws {
        try withDaemon({ $0.deferred.threadCount = 4 }) { daemon, service in
            let target = "/init?method=orthogonal&shape=512,512&seed=3&format=raw"
            let size = 1 << 20
            let clients = try (0..<16).map { index in
                let client = try RawClient(port: daemon.port)
                client.send(
                    "GET \(target) HTTP/1.1\r\nHost: a\r\n"
                        + "Range: bytes=\(index * size / 16)-\((index + 1) * size / 16 - 1)\r\n\r\n"
                )
                return client
            }
            let replies = try clients.map { try $0.readResponse() }
            #expect(replies.allSatisfy { $0.status == 206 })
            #expect(replies.flatMap(\.body) == (try Caller(port: daemon.port).get(target).body))
            #expect(service.operations.preparations.madeCount == 1)
        }
    }

    @Test("A column of a huge tensor does not block the thread that sends it")
    func column() throws {
        // More columns than the two threads. A column has 2^20 elements, each a million words from the next.
        try withDaemon { daemon, _ in
            let columns = try (0..<4).map { seed in
                let client = try RawClient(port: daemon.port)
                client.send(
                    "GET /init?method=normal&shape=1048576,1048576&slice=:,5:6&seed=\(seed)&format=raw HTTP/1.1\r\n"
                        + "Host: a\r\n\r\n"
                )
                #expect(try client.readHead().status == 200)
                return client
            }
            for _ in 0..<20 {
                #expect(try Caller(port: daemon.port).get("/gain?nonlinearity=relu").status == 200)
            }
            #expect(eventually { daemon.activeExchanges == columns.count })
        }
    }
}
