import Foundation
import TestSupport
import Testing

@Suite("The log", .serialized)
struct LogTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    /// Hostile texts: line breaks, escape sequences of terminals, characters with a meaning in JSON, and invalid UTF-8.
    private static let forgeries: [[UInt8]] = [
        Array(#"a","status":200,"x":""#.utf8), Array("\u{1b}[2J\u{1b}]0;owned\u{7}".utf8), [0xFF, 0xFE, 0xC0, 0xAF],
        Array("\u{9b}31m\u{2028}\u{202e}".utf8), Array("a\\nb\\u000a{}".utf8), Array("%0a%0d".utf8),
        Array("a\r\n\t{\"level\":\"error\"}".utf8), Array("a\n{\"level\":\"error\"}".utf8), [0x61, 0x00, 0x62],
        Array(String(repeating: "x", count: 3000).utf8), Array("00-\(trace)-b7ad6b7169203331-01\u{b}".utf8),
    ]

    /// Sends each hostile text in every part of a request, on a new connection each time, and reads the answers.
    private func forge(_ server: Server) throws {
        for bytes in Self.forgeries {
            let requests: [[UInt8]] = [
                Array("GET /gain?nonlinearity=".utf8) + bytes + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
                Array("GET /".utf8) + bytes + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
                bytes + Array(" /gain HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
                Array("GET /gain HTTP/1.1\r\nHost: ".utf8) + bytes + Array("\r\n\r\n".utf8),
            ]
            let fields = ["X-Request-Id", "traceparent", "User-Agent", "Origin", "Authorization", "Range"].map { name in
                Array("GET /gain HTTP/1.1\r\nHost: a\r\n\(name): ".utf8) + bytes + Array("\r\n\r\n".utf8)
            }
            for request in requests + fields {
                let client = try server.client()
                client.send(request)
                // The library answers a malformed request with its own page, or not at all.
                _ = try? client.readResponse()
            }
        }
    }

    private func end(_ server: Server) -> [Substring] {
        server.signal(SIGTERM)
        let log = server.errors()
        #expect(server.wait() == .exited(0))
        #expect(log.utf8.allSatisfy { (0x20...0x7E).contains($0) || $0 == 0x0A })
        #expect(log.hasSuffix("\n"))
        return log.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
    }

    @Test("A JSON log has one object for each request")
    func json() throws {
        let server = try Server(["serve", "--port=0", "--log-level=info", "--log-format=json"], [:])
        defer { server.kill() }
        let client = try server.client()
        let fields = "X-Request-Id: my-name\r\ntraceparent: 00-\(Self.trace)-b7ad6b7169203331-01\r\n"
        #expect(try client.get("/init?method=ones&shape=1000&format=raw", fields).body.count == 4000)
        let missing = try client.get("/gian")
        let lines = try end(server).map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        for line in lines {
            let time = try #require(line["time"] as? String)
            #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
            #expect(
                abs(
                    try Date(time, strategy: .iso8601.year().month().day().time(includingFractionalSeconds: true))
                        .timeIntervalSinceNow
                ) < 600
            )
        }
        let requests = lines.filter { $0["message"] as? String == "request" }
        #expect(requests.count == 2)
        let first = try #require(requests.first)
        #expect(first["level"] as? String == "info")
        #expect(first["id"] as? String == "my-name")
        #expect(first["trace"] as? String == Self.trace)
        #expect(first["method"] as? String == "GET" && first["route"] as? String == "/init")
        #expect(first["status"] as? Int == 200 && first["bytes"] as? Int == 4000)
        #expect(first["peer"] as? String == "127.0.0.1")
        #expect(try #require(first["duration"] as? Double) > 0)
        #expect(first["cut"] == nil && first["problem"] == nil)
        let second = try #require(requests.last)
        #expect(second["route"] as? String == "other" && second["status"] as? Int == 404)
        #expect(second["problem"] as? String == "not-found" && second["trace"] == nil)
        #expect(second["id"] as? String == missing["X-Request-Id"])
        #expect(lines.contains { $0["message"] as? String == "signal 15: draining" })
    }

    @Test("Requests cannot forge lines of a JSON log")
    func forgedJSON() throws {
        let server = try Server(["serve", "--port=0", "--log-level=trace", "--log-format=json"], [:])
        defer { server.kill() }
        try forge(server)
        var requests = 0
        for line in end(server) {
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
                "\(line)"
            )
            #expect(object["level"] as? String != "error", "\(line)")
            #expect(
                Set(object.keys).isSubset(of: [
                    "time", "level", "message", "id", "method", "route", "status", "problem", "bytes", "duration",
                    "peer",
                    "trace", "cut",
                ]),
                "\(line)"
            )
            guard object["message"] as? String == "request" else { continue }
            requests += 1
            #expect(["/gain", "other"].contains(object["route"] as? String), "\(line)")
            if let id = object["id"] as? String { #expect(id.utf8.count <= 128) }
            if let trace = object["trace"] as? String { #expect(trace == Self.trace) }
            #expect((object["method"] as? String)?.utf8.count ?? 0 <= 32)
        }
        // Each connection sent at least one request, but the library does not take every head for a request.
        #expect(requests >= Self.forgeries.count * 8)
    }

    @Test("Requests cannot forge lines of a text log")
    func forgedText() throws {
        let server = try Server(["serve", "--port=0", "--log-level=trace"], [:])
        defer { server.kill() }
        try forge(server)
        let lines = end(server)
        #expect(lines.count >= Self.forgeries.count * 8)
        for line in lines {
            #expect(
                line.prefixMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (trace|debug|info|notice|warning)\ /)
                    != nil,
                "\(line)"
            )
        }
    }

    @Test("Requests are not logged by default")
    func quiet() throws {
        let server = try Server(["serve", "--port=0"], [:])
        defer { server.kill() }
        try forge(server)
        #expect(end(server).count == 2)
    }

    @Test("The log marks a download that was cut off")
    func cutOff() throws {
        let server = try Server(["serve", "--port=0", "--log-level=info", "--log-format=json"], [:])
        defer { server.kill() }
        try server.slowReader("/init?method=ones&shape=100000000&format=raw").reset()
        #expect(try server.logs(#""cut":true"#))
    }

    @Test("A request that is cut off while its body is prepared has route and ID in the log")
    func cutOffBefore() throws {
        let server = try Server(["serve", "--port=0", "--log-level=info", "--log-format=json"], [:])
        defer { server.kill() }
        let client = try server.client()
        client.sendGet("/init?method=orthogonal&shape=4000,4000&format=raw", "X-Request-Id: abc-1\r\n")
        #expect(try eventually { try server.get("/metrics").text.contains("\nweight_init_work_running 1\n") })
        client.reset()
        #expect(try server.logs(#""cut":true"#))
        server.signal(SIGTERM)
        let line = server.errors().split(separator: "\n").first { $0.contains(#""cut":true"#) }
        #expect(
            line?.contains(#""id":"abc-1""#) == true && line?.contains(#""route":"/init""#) == true,
            "\(line ?? "")"
        )
    }
}
