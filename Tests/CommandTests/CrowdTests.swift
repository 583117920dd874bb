import Foundation
import TestSupport
import Testing

/// These tests check that every client is served; the benchmarks measure how fast.
@Suite("Many connections", .serialized)
struct CrowdTests {
    private static let gain = "GET /gain?nonlinearity=leaky_relu&param=0.2 HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Expects a thousand replies, on twenty connections in turn, and calls `meanwhile` after each.
    private func expectService(of server: Server, meanwhile: (Int) -> Void = { _ in }) throws {
        let clients = try (0..<20).map { _ in try server.client() }
        for number in 0..<1000 {
            let client = clients[number % clients.count]
            client.send(Self.gain)
            #expect(try client.readResponse().text.contains("1.3867504905630728"))
            meanwhile(number)
        }
    }

    @Test(
        "A thousand requests are answered beside ten thousand idle connections",
        .enabled(if: Crowd.makeRoom(for: 10_200), "the system allows fewer open files")
    )
    func idle() throws {
        let count = 10_000
        let server = try Server(
            ["serve", "--port=0", "--max-connections=10100", "--idle-timeout=3600", "--receive-timeout=3600"],
            [:],
            after: "ulimit -Sn 256 && exec"
        )
        defer { server.kill() }
        #expect(try server.openFileLimit() >= 10_100)
        let crowd = try Crowd(count, port: try #require(UInt16(server.port)))
        #expect(try eventually { try server.openFiles() >= count })
        try expectService(of: server)
        #expect(try server.openFiles() >= count)
        #expect(crowd.openCount == count)
        #expect(try server.peakMemory() < 512 << 20)
    }

    @Test("A thousand requests are answered beside five hundred slow clients")
    func slow() throws {
        #expect(Crowd.makeRoom(for: 800))
        let server = try Server(["serve", "--port=0", "--idle-timeout=3600", "--receive-timeout=3600"], [:])
        defer { server.kill() }
        let port = try #require(UInt16(server.port))
        let (senders, readers) = (try Crowd(250, port: port), try Crowd(250, port: port, receiveBuffer: 4 << 10))
        for index in 0..<250 {
            senders.send(index % 2 == 0 ? "GET /gain HTTP/1.1\r\nHost: a\r\nX: " : "P", from: index)
            readers.send("GET /init?method=normal&shape=268435456&format=raw HTTP/1.1\r\nHost: a\r\n\r\n", from: index)
        }
        #expect(try eventually { try server.openFiles() >= 500 })
        try expectService(of: server) { number in
            senders.send("x", from: number % 250)
            _ = readers.receive(1000, at: number % 250)
        }
        #expect(senders.openCount == 250 && readers.openCount == 250)
        // Every client has part of its body of 1 GiB.
        #expect((0..<250).allSatisfy { readers.receive(1000, at: $0) ?? 0 > 0 })
        #expect(try server.peakMemory() < 512 << 20)
    }

    @Test("At the limit on open files, open connections are served and waiting ones follow")
    func shortage() throws {
        let server = try Server(["serve", "--port=0", "--max-connections=1000"], [:], after: "ulimit -n 100 && exec")
        defer { server.kill() }
        #expect(
            try server.logs(
                "--max-connections 1000 needs 1064 open files, and the system allows 100 (ulimit -Hn): "
                    + "further connections wait until others close"
            )
        )
        let inside = try server.client()
        inside.send(Self.gain)
        #expect(try inside.readResponse().status == 200)
        let port = try #require(UInt16(server.port))
        var crowd: Crowd? = try Crowd(150, port: port)
        #expect(try eventually { try server.openFiles() >= 99 })
        inside.send(Self.gain)
        #expect(try inside.readResponse().status == 200)
        let outside = try server.client()
        outside.send(Self.gain)
        #expect(crowd?.openCount == 150)
        crowd = nil
        #expect(try outside.readResponse().status == 200)
    }

    @Test("A stalled reader is cut off after the idle timeout")
    func stalledReader() throws {
        let server = try Server(["serve", "--port=0", "--idle-timeout=1"], [:])
        defer { server.kill() }
        let files = try server.openFiles()
        let client = try server.client(receiveBuffer: 4 << 10)
        client.sendGet("/init?method=normal&shape=268435456&format=raw")
        #expect(try client.readHead().status == 200)
        #expect(try eventually { try server.openFiles() > files })
        #expect(try eventually { try server.openFiles() == files })
        #expect(client.readToEnd().count < 1 << 30)
    }
}
