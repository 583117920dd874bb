import Foundation
import TestSupport
import Testing

@Suite("Each limit is an option that its error names", .serialized)
struct LimitTests {
    struct Limit: CustomTestStringConvertible, Sendable {
        var option: String
        var value: Int
        var status = 413
        /// A query, or JSON for `/init`.
        var request: String
        var testDescription: String { option }

        init(_ option: String, _ value: Int, _ request: String, _ status: Int = 413) {
            (self.option, self.value, self.request, self.status) = (option, value, request, status)
        }
    }

    private static let ones = #"{"tensor":"0.bias","method":"ones"}"#
    private static let linear = #"{"type":"Linear","in_features":2,"out_features":2}"#

    @Test(
        "The error over a limit names its option",
        arguments: [
            Limit("max-body-bytes", 40, #"{"method":"normal","shape":[2],"seed":12345}"#),
            Limit("max-json-depth", 2, #"{"method":"normal","shape":[[[2]]]}"#, 400),
            Limit("max-json-values", 5, #"{"method":"normal","shape":[1,1,1,1]}"#),
            Limit("max-tensor-bytes", 100, "method=normal&shape=26&format=raw"),
            Limit("max-matrix-elements", 100, "method=orthogonal&shape=11,10"),
            Limit(
                "max-rounds",
                1000,
                "method=trunc_normal&shape=64&mean=100000004&std=0.1&a=100000004.01&b=100000012",
                422
            ),
            Limit("max-json-elements", 100, "method=normal&shape=101"),
            Limit("max-summary-elements", 100, "method=normal&shape=101&format=summary"),
            Limit("max-work-bytes", 100, "method=orthogonal&shape=10,10"),
            Limit(
                "max-counted-elements",
                100,
                #"{"tensors":[{"method":"trunc_normal","shape":[101]},{"method":"normal","shape":[2]}]}"#
            ),
            Limit("max-layers", 1, #"{"layers":[\#(linear),\#(linear)]}"#),
            Limit("max-tensors", 3, #"{"layers":[\#(linear),\#(linear)]}"#),
            Limit("max-name-bytes", 10, #"{"layers":[\#(linear),\#(linear)]}"#),
            Limit(
                "max-rule-matches",
                1,
                #"{"layers":[\#(linear),\#(linear)],"rules":[{"type":"Linear","method":"zeros"}]}"#
            ),
            Limit("max-steps", 1, #"{"layers":[\#(linear)],"steps":[\#(ones),\#(ones)]}"#),
            Limit(
                "max-overlays",
                1,
                #"{"layers":[\#(linear)],"steps":[{"tensor":"0.weight","slice":"1","method":"ones"}]}"#
            ),
            Limit(
                "max-literal-bytes",
                15,
                #"{"layers":[\#(linear)],"steps":[{"tensor":"0.weight","method":"data","zlib":"AAAA"}]}"#
            ),
            Limit("max-nesting", 1, #"{"layers":[{"layers":[{"layers":[\#(linear)]}]}]}"#),
        ]
    )
    func limit(_ limit: Limit) throws {
        #expect(try run("serve", "--help").output.contains("--\(limit.option) <"))
        let server = try Server(["serve", "--port=0", "--\(limit.option)=\(limit.value)"], [:])
        defer { server.kill() }
        let client = try server.client()
        if limit.request.hasPrefix("{") {
            client.send(
                "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(limit.request.utf8.count)\r\n\r\n\(limit.request)"
            )
        } else {
            client.sendGet("/init?\(limit.request)")
        }
        let answer = try client.readResponse()
        #expect(answer.status == limit.status, "\(answer.text)")
        #expect(answer["Content-Type"] == "application/problem+json")
        #expect(answer.text.contains("--\(limit.option)"), "\(answer.text)")
    }

    @Test("A request that arrives too late gets 408 and names --receive-timeout")
    func receiveTimeout() throws {
        let server = try Server(["serve", "--port=0", "--receive-timeout=1"], [:])
        defer { server.kill() }
        let client = try server.client()
        client.send("POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        usleep(1_500_000)
        client.send("world")
        let answer = try client.readResponse()
        #expect(answer.status == 408)
        #expect(answer.text.contains("--receive-timeout"))
    }

    @Test("A reply over the memory of active replies gets 503 and names --max-body-memory")
    func bodyMemory() throws {
        let server = try Server(["serve", "--port=0", "--block-bytes=16384", "--max-body-memory=32768"], [:])
        defer { server.kill() }
        let target = "/init?method=normal&shape=268435456&format=raw"
        let reader = try server.slowReader(target, receiveBuffer: 4 << 10)
        let answer = try server.get(target)
        #expect(answer.status == 503)
        #expect(answer["Retry-After"] != nil)
        #expect(answer.text.contains("--max-body-memory"))
        withExtendedLifetime(reader) {}
    }

    @Test(
        "Work over the queue or its timeout gets 503 and names the option",
        arguments: [("--work-queue", 0), ("--work-timeout", 0)]
    )
    func work(_ option: String, _ value: Int) throws {
        let server = try Server(["serve", "--port=0", "\(option)=\(value)"], [:])
        defer { server.kill() }
        // Each request takes seconds of work, and one runs at a time.
        let clients = try (0..<4).map { seed in
            let client = try server.client()
            client.send(
                "GET /init?method=orthogonal&shape=2048,2048&format=raw&seed=\(seed) HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            return client
        }
        // One client was refused while another was served.
        let answer = try #require(try clients.map { try $0.readResponse() }.first { $0.status == 503 })
        #expect(answer["Retry-After"] != nil)
        #expect(answer.text.contains(option))
    }

    @Test("Work that can never have its memory gets 413 without Retry-After, and names the option")
    func hopelessWork() throws {
        let server = try Server(["serve", "--port=0", "--max-work-bytes=1000", "--max-short-work-bytes=1000"], [:])
        defer { server.kill() }
        for target in [
            "/init?method=normal&shape=1000&format=summary", "/init?method=orthogonal&shape=10,10",
            "/models/random/efficientnet-b0?format=safetensors",
        ] {
            let answer = try server.get(target)
            #expect(answer.status == 413, "\(answer.text)")
            #expect(answer["Retry-After"] == nil)
            #expect(answer.text.contains("over the limit of 1000 (--max-work-bytes)"))
        }
        #expect(try server.get("/init?method=normal&shape=2").status == 200)
    }

    @Test("Connections over the limits wait, or are closed if their address has too many")
    func connections() throws {
        let server = try Server(["serve", "--port=0", "--max-connections=3"], [:])
        defer { server.kill() }
        let request = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        func served(_ count: Int, by server: Server) throws -> [RawClient] {
            let clients = try (0..<count).map { _ in try server.client() }
            for client in clients {
                client.send(request)
                #expect(try client.readResponse().status == 200)
            }
            return clients
        }
        var inside = try served(3, by: server)
        let outside = try server.client()
        outside.send(request)
        inside.removeFirst().reset()
        #expect(try outside.readResponse().status == 200)
        withExtendedLifetime(inside) {}

        let strict = try Server(["serve", "--port=0", "--max-connections-per-address=2"], [:])
        defer { strict.kill() }
        let two = try served(2, by: strict)
        let third = try strict.client()
        third.send(request)
        #expect(third.readToEnd().isEmpty)
        withExtendedLifetime(two) {}
    }
}
