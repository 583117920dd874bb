import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A service says at its start what it cannot have", .serialized)
struct StartTests {
    private static let budgets = [
        "--max-work-bytes=67108864", "--max-body-memory=67108864", "--cache-bytes=0", "--max-model-bytes=0",
    ]

    @Test("Budgets of more memory than the process may have are a warning that names the largest")
    func memory() throws {
        let server = try Server(["serve", "--port=0"], [:], after: "ulimit -d 2000000 && exec")
        defer { server.kill() }
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        let words =
            "warning the memory budgets add up to 2874 MiB, and the limit of this process (ulimit -v, -d) is 1954 MiB: "
            + "lower --max-work-bytes, --max-body-memory, --cache-bytes, or the system may end the service\n"
        #expect(server.errors().contains(words))
    }

    @Test("Budgets that fit are no warning, and at the level info a line has their sum")
    func enoughMemory() throws {
        let server = try Server(
            ["serve", "--port=0", "--log-level=info"] + Self.budgets,
            [:],
            after: "ulimit -d 2000000 && exec"
        )
        defer { server.kill() }
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        let log = server.errors()
        // 64 MiB each of replies, uploads, work and short work, 8 and 16 of caches, 1024 × 64 KiB, 2 bodies, and 32.
        #expect(log.contains("info memory of the service: at most 378 MiB\n"), "\(log)")
        #expect(!log.contains("warning"))
    }

    @Test("Kernels that the processor does not have are a warning")
    func kernel() throws {
        let server = try Server(["serve", "--port=0"], ["WEIGHT_INIT_KERNEL": "avx1024"])
        defer { server.kill() }
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        #expect(server.errors().contains("warning WEIGHT_INIT_KERNEL is avx1024, and this processor has "))
    }

    @Test("SIGHUP without a file to read again is a line in the log, and the service goes on")
    func nothingToReload() throws {
        let server = try Server(["serve", "--port=0"], [:])
        defer { server.kill() }
        server.signal(SIGHUP)
        #expect(try server.logs("SIGHUP: neither --models, --token-file nor --tls-certificate has files to read again"))
        #expect(try server.get("/livez").status == 200)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
    }

    @Test("SIGHUP ends a service whose terminal was closed, and no other")
    func closedTerminal() throws {
        var (terminal, end): (Int32, Int32) = (-1, -1)
        try #require(openpty(&terminal, &end, nil, nil, nil) == 0)
        let server = try Server(["serve", "--port=0"], [:], input: FileHandle(fileDescriptor: end))
        defer { server.kill() }
        close(end)
        server.signal(SIGHUP)
        #expect(try server.logs("SIGHUP: neither"))
        #expect(try server.get("/livez").status == 200)
        close(terminal)
        server.signal(SIGHUP)
        #expect(try server.logs("signal 1: draining"))
        #expect(server.wait() == .exited(0))
    }

    @Test("Health asks the port for metrics, which answers while clients hold all connections")
    func health() throws {
        let server = try Server(["serve", "--port=0", "--metrics-port=0", "--max-connections=2"], [:])
        defer { server.kill() }
        let port = try #require(server.line.firstMatch(of: /:([0-9]+)\n/)).1
        let clients = try (0..<2).map { _ in try RawClient(port: try #require(UInt16(port))) }
        for client in clients { client.send("GET /livez HTTP/1.1\r\n") }
        let environment = ["WEIGHT_INIT_PORT": String(port), "WEIGHT_INIT_METRICS_PORT": server.metricsPort]
        #expect(try run(["health"], environment).status == 0)
        let refused = try run(["health", "--port", String(port), "--timeout=1"], environment)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("not healthy at 127.0.0.1 port \(port): no answer"), "\(refused.errors)")
        withExtendedLifetime(clients) {}
    }
}
