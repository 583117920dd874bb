import Foundation
import TestSupport
import Testing

@Suite("The process protects itself")
struct HardeningTests {
    @Test("Standard streams that are closed become /dev/null, not connections")
    func closedStreams() throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", "exec \"$0\" serve --port 0 <&- 2>&-", executable.path]
        process.standardOutput = output
        try process.run()
        defer { kill(process.processIdentifier, SIGKILL) }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let port = try #require(line.firstMatch(of: /:([0-9]+)\n/).flatMap { UInt16($0.1) })
        let client = try RawClient(port: port)
        #expect(try client.get("/gain").status == 200)
        for stream in [0, 2] {
            let path = "/proc/\(process.processIdentifier)/fd/\(stream)"
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == "/dev/null")
        }
    }

    @Test("The server exits even if nobody reads its log and threads block on writing it")
    func unreadLog() throws {
        // SIGALRM is blocked, as it is if the parent blocks all signals.
        let server = try Server(
            ["serve", "--port=0", "--log-level=info", "--drain-timeout=1"],
            [:],
            after: "exec env --block-signal=ALRM"
        )
        defer { server.kill() }
        // More lines than the pipe of standard error holds: the threads that write them wait, and a request has no answer.
        let request = "GET /gain HTTP/1.1\r\nHost: a\r\nX-Request-Id: \(String(repeating: "a", count: 128))\r\n\r\n"
        var clients: [RawClient] = []
        var hangs = false
        for _ in 0..<100 where !hangs {
            let client = try server.client()
            clients.append(client)
            var patience = timeval(tv_sec: 5, tv_usec: 0)
            let size = socklen_t(MemoryLayout<timeval>.size)
            setsockopt(client.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
            client.send(String(repeating: request, count: 100))
            for _ in 0..<100 where !hangs { hangs = (try? client.readResponse()) == nil }
        }
        #expect(hangs)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(1))
        withExtendedLifetime(clients) {}
    }

    @Test("TLS 1.2 accepts only authenticated ciphers, in the server's order")
    func ciphers() throws {
        let directory = try Directory()
        let (certificate, key) = try directory.makeCertificate()
        let server = try Server(["serve", "--port=0", "--tls-certificate", certificate, "--tls-key", key], [:])
        defer { server.kill() }
        func session(_ ciphers: String) throws -> Outcome {
            try tool(
                "openssl",
                "s_client",
                "-connect",
                "127.0.0.1:\(server.port)",
                "-tls1_2",
                "-cipher",
                ciphers
            )
        }
        for refused in ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256"] {
            #expect(try session(refused).status != 0)
        }
        let (one, other) = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384")
        for order in ["\(one):\(other)", "\(other):\(one)"] {
            #expect(try session(order).output.contains(other))
        }
    }
}
