import SHA2
import Glibc
import TestSupport
import Testing

@Suite("A download during the drain", .serialized)
struct DrainTests {
    /// More than the kernel buffers for a slow reader.
    private static let byteCount = 64 << 20
    private static let target = "/init?method=normal&shape=\(byteCount / 4)&seed=7&format=raw"

    private func digest(_ client: RawClient, after head: RawClient.Response) throws -> SHA256.Digest {
        var hash = SHA256()
        try client.readBody(after: head) { piece in piece.withUnsafeBytes { hash.update(bufferPointer: $0) } }
        return hash.finalize()
    }

    @Test("A download completes, new connections are refused, and the exit code is 0")
    func drain() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let fast = try server.client()
        fast.sendGet(Self.target)
        let expected = try digest(fast, after: try fast.readHead())

        let slow = try server.client(receiveBuffer: 16 << 10)
        slow.sendGet(Self.target)
        let head = try slow.readHead()
        #expect(head.status == 200)
        #expect(head["Content-Length"] == String(Self.byteCount))
        server.signal(SIGTERM)
        #expect(try server.logs("draining"))
        var refused = false
        for _ in 0..<1000 where !refused {
            refused = (try? server.client()) == nil
            usleep(2000)
        }
        #expect(refused)
        #expect(try digest(slow, after: head) == expected)
        #expect(server.wait() == .exited(0))
    }

    @Test("Twenty downloads complete during the drain")
    func drainMany() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let byteCount = 8 << 20
        let clients = try (0..<20).map { index in
            let client = try server.client(receiveBuffer: 16 << 10)
            let target = "/init?method=normal&shape=\(byteCount / 4)&seed=\(index % 2)&format=raw"
            client.sendGet(target)
            return client
        }
        let heads = try clients.map { try $0.readHead() }
        server.signal(SIGTERM)
        #expect(try server.logs("draining"))
        // The clients read in turn, so that all downloads are active until the end.
        var hashes = clients.map { _ in SHA256() }
        var left = clients.map { _ in byteCount }
        #expect(heads.allSatisfy { $0.status == 200 && $0["Content-Length"] == String(byteCount) })
        while left.contains(where: { $0 > 0 }) {
            for index in clients.indices where left[index] > 0 {
                let piece = clients[index].read(min(left[index], 64 << 10))
                try #require(!piece.isEmpty)
                piece.withUnsafeBytes { hashes[index].update(bufferPointer: $0) }
                left[index] -= piece.count
            }
        }
        let digests = hashes.map { $0.finalize() }
        #expect(Set(digests.enumerated().map { "\($0.offset % 2) \($0.element)" }).count == 2)
        #expect(server.wait() == .exited(0))
    }

    @Test("A download is cut off at the drain timeout, and the exit code is 0")
    func timeout() throws {
        try drainStuck(timeout: 1, SIGTERM) { server in
            #expect(server.wait() == .exited(0))
            #expect(server.errors().contains("cut off"))
        }
    }

    @Test("A second signal cuts a download off at once")
    func secondSignal() throws {
        try drainStuck(timeout: 3600, SIGINT) { server throws in
            #expect(try server.logs("draining"))
            server.signal(SIGINT)
            #expect(server.wait() == .exited(128 + SIGINT))
        }
    }

    /// Sends a signal to a server during a download that its reader has stopped reading, and expects it to be cut off.
    private func drainStuck(timeout: Int, _ signal: Int32, _ body: (Server) throws -> Void) throws {
        let server = try Server(["serve", "--port", "0", "--drain-timeout", "\(timeout)"], [:])
        defer { server.kill() }
        let stuck = try server.slowReader(Self.target)
        server.signal(signal)
        try body(server)
        #expect(stuck.readToEnd().count < Self.byteCount)
    }
}
