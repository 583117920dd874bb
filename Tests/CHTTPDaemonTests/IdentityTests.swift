import CHTTPDaemon
import Foundation
import TestSupport
import Testing

@Suite("Certificates that have been renewed")
struct IdentityTests {
    private static func makeCertificate() throws -> (certificate: String, key: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=a",
            "-keyout", "-", "-out", "-",
        ]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let start = try #require(text.range(of: "-----BEGIN CERTIFICATE"))
        return (String(text[start.lowerBound...]), String(text[..<start.lowerBound]))
    }

    @Test("An unreadable Content-Length gets one response over TLS, too")
    func aLengthThatCannotBeRead() throws {
        let (certificate, key) = try Self.makeCertificate()
        var callbacks = Shim.callbacks
        callbacks.connection_closed = { context, _ in context.assumingMemoryBound(to: Int.self).pointee += 1 }
        callbacks.length_refused = { _, _, status, bytes, _ in
            let text = "HTTP/1.1 \(status) No\r\nContent-Length: 0\r\n\r\n"
            for (index, byte) in text.utf8.enumerated() { bytes[index] = byte }
            return text.utf8.count
        }
        let closed = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        closed.initialize(to: 0)
        defer { closed.deallocate() }
        let daemon = try #require(Self.start(certificate, key, &callbacks, closed))
        defer { c_httpd_stop(daemon) }
        for (index, (length, status)) in [("five", 400), ("18446744073709551616", 413)].enumerated() {
            let client = try connectedSocket(port: c_httpd_port(daemon))
            var answer = [CChar](repeating: 0, count: 4096)
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\nhello"
            let count = c_httpd_tls_exchange(client, request, &answer, answer.count)
            let text = String(decoding: answer.prefix(Int(max(0, count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            #expect(text == "HTTP/1.1 \(status) No\r\nContent-Length: 0\r\n\r\n")
            close(client)
            // The library must finish with the refused request before it can be stopped.
            #expect(eventually { closed.pointee == index + 1 })
        }
    }

    private static func start(
        _ certificate: String,
        _ key: String,
        _ callbacks: inout c_httpd_callbacks,
        _ context: UnsafeMutableRawPointer
    ) -> OpaquePointer? {
        var failure = c_httpd_failure()
        return certificate.withCString { certificate in
            key.withCString { key in
                "127.0.0.1".withCString { host in
                    var options = c_httpd_options(
                        socket_path: nil,
                        host: host,
                        port: 0,
                        thread_count: 2,
                        connection_limit: 10,
                        connections_per_address: 0,
                        idle_seconds: 100,
                        connection_memory: 32 << 10,
                        tls_certificate: certificate,
                        tls_key: key
                    )
                    return c_httpd_start(&options, &callbacks, context, &failure)
                }
            }
        }
    }

    @Test func `are freed when no connection is left that could use them`() throws {
        let (certificate, key) = try Self.makeCertificate()
        let opened = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        defer { opened.deallocate() }
        opened.pointee = 0
        var callbacks = Shim.callbacks
        callbacks.connection_opened = { context, _, _ in
            // Read by the test when the connection is served.
            context.assumingMemoryBound(to: Int.self).pointee += 1
            return context
        }
        let daemon = try #require(Self.start(certificate, key, &callbacks, opened))
        defer { c_httpd_stop(daemon) }
        for _ in 0..<100 { #expect(c_httpd_renew_identity(daemon, certificate, key) == nil) }
        #expect(c_httpd_identity_count(daemon) == 1)

        let client = try connectedSocket(port: c_httpd_port(daemon))
        // The library reports a connection as open once one of its threads handles it.
        #expect(eventually { opened.pointee == 1 })
        usleep(100_000)
        for _ in 0..<10 { #expect(c_httpd_renew_identity(daemon, certificate, key) == nil) }
        #expect(c_httpd_identity_count(daemon) == 11)
        close(client)
        #expect(eventually { c_httpd_identity_count(daemon) == 1 })
        var answer: [CChar] = [0]
        let other = try connectedSocket(port: c_httpd_port(daemon))
        // The handshake uses the newest certificate; then the stub cuts the connection.
        #expect(c_httpd_tls_exchange(other, "GET / HTTP/1.1\r\n\r\n", &answer, 1) <= 0)
        close(other)
    }
}
