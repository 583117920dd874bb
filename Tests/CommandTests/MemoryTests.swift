import Foundation
import TestSupport
import Testing

@Suite("Memory does not depend on sizes", .serialized)
struct MemoryTests {
    private static let limit = 64 << 20

    @Test(
        "Memory does not depend on the size of a tensor",
        arguments: [
            "method=uniform&format=raw", "method=normal&format=raw", "method=kaiming_normal&format=raw",
            "method=kaiming_uniform&format=npy", "method=trunc_normal&format=raw",
            "method=trunc_normal&a=1&b=3&format=raw", "method=xavier_uniform&format=safetensors",
            "method=uniform&dtype=float16&format=json",
        ]
    )
    func tensor(_ query: String) throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let client = try server.client()
        client.sendGet("/init?shape=4096,4096&seed=1&\(query)")
        let head = try client.readHead()
        try #require(head.status == 200)
        var count = 0
        try client.readBody(after: head) { count += $0.count }
        #expect(count >= 4096 * 4096 * 4)
        #expect(try server.peakMemory() < Self.limit)
    }

    @Test("Memory does not depend on the size of a model")
    func model() throws {
        let preset = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "examples/models/gpt2_small.json")
        let request = try String(contentsOf: preset, encoding: .utf8)
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let client = try server.client()
        client.send(
            "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(request.utf8.count)\r\n\r\n\(request)"
        )
        let head = try client.readHead()
        try #require(head.status == 200)
        var count = 0
        try client.readBody(after: head) { count += $0.count }
        // 124 M parameters.
        #expect(count > 490_000_000)
        #expect(head["Content-Length"] == String(count))
        #expect(try server.peakMemory() < Self.limit)
    }

    @Test("Memory does not grow with the shards and seeds of a large model")
    func shards() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let client = try server.client()
        func get(_ path: String, _ fields: String = "") throws -> RawClient.Response {
            return try client.get("/random/llama-3-70b/resolve/\(path)", fields)
        }
        let index = try get("main/model.safetensors.index.json").text
        let shards = Set(index.matches(of: /model-[0-9-]+of-[0-9]+\.safetensors/).map { String($0.output) })
        // The model has 141 GB.
        #expect(shards.count == 30)
        for seed in 1...16 {
            for shard in shards {
                let part = try get("seed-\(seed)/\(shard)", "Range: bytes=1000000-1065535\r\n")
                try #require(part.status == 206 && part.body.count == 65_536)
            }
        }
        #expect(try server.peakMemory() < Self.limit)
    }

    /// Bytes read of an endless download: fewer without optimisation, because generating as many would take minutes.
    #if DEBUG
        private static let longCount = 128 << 20
    #else
        private static let longCount = 2 << 30
    #endif

    @Test("Memory does not grow during an endless download", arguments: ["raw", "safetensors"])
    func download(_ format: String) throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let client = try server.client()
        // The reply has 8 GiB, so that the service cannot know that the client will leave.
        client.sendGet("/init?method=normal&shape=2147483648&format=\(format)")
        #expect(try client.readHead().status == 200)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var received = 0
        while received < Self.longCount {
            let count = recv(client.descriptor, &buffer, buffer.count, 0)
            try #require(count > 0)
            received += count
        }
        #expect(try server.peakMemory() < Self.limit / 2)
    }
}
