import Foundation
import TestSupport
import Testing

@Suite("Memory does not grow with what is sent")
struct MemoryTests {
    /// Without optimisation, making as much would take minutes.
    #if DEBUG
        private let byteCount = 128 << 20
    #else
        private let byteCount = 2 << 30
    #endif

    @Test("a long download takes less than 32 MiB", arguments: ["raw", "safetensors"])
    func download(_ format: String) throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let port = try #require(UInt16(server.port))
        let client = try RawClient(port: port)
        // Of 8 GiB, so that the service cannot know that the client will leave.
        client.send(
            "GET /init?method=normal&shape=2147483648&format=\(format) HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        #expect(try client.readHead().status == 200)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var received = 0
        while received < byteCount {
            let count = recv(client.descriptor, &buffer, buffer.count, 0)
            try #require(count > 0)
            received += count
        }
        let status = try String(contentsOfFile: "/proc/\(server.processIdentifier)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        let kibibytes = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
        #expect(kibibytes < 32 << 10)
    }
}
