import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A Unix domain socket")
struct UnixSocketTests {
    /// Short, because a socket's path has at most 107 bytes.
    private let directory = URL(filePath: "/tmp/weight-init-\(UUID().uuidString.prefix(8))")
    private var path: String { directory.appending(path: "s").path }

    init() throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    private func withServer(_ body: (Server) throws -> Void) throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        let server = try Server(["serve", "--unix-socket", path], [:])
        defer { server.kill() }
        try #require(server.line == "weight-init serves at unix:\(path)\n")
        try body(server)
    }

    @Test("A socket serves whole bodies and ranges as a port does")
    func serves() throws {
        try withServer { server in
            let target = "/init?method=normal&shape=1048576&seed=3&format=raw"
            let overPort = try Server(["serve", "--port", "0"], [:])
            defer { overPort.kill() }
            let files = ["a", "b"].map { directory.appending(path: $0).path }
            let one = try tool("curl", "-sS", "--unix-socket", path, "-o", files[0], "http://localhost\(target)")
            #expect(one.status == 0, "\(one.errors)")
            let other = try tool("curl", "-sS", "-o", files[1], "http://127.0.0.1:\(overPort.port)\(target)")
            #expect(other.status == 0, "\(other.errors)")
            let bytes = try Data(contentsOf: URL(filePath: files[0]))
            #expect(bytes.count == 4 << 20)
            #expect(try bytes == Data(contentsOf: URL(filePath: files[1])))
            #expect(try run("health", "--unix-socket", path).status == 0)
            #expect(try run(["health"], ["WEIGHT_INIT_UNIX_SOCKET": path]).status == 0)
        }
    }

    @Test("A socket is removed at the end, and a running server keeps it")
    func life() throws {
        try withServer { server in
            let second = try run("serve", "--unix-socket", path)
            #expect(second.status != 0)
            #expect(second.errors == "weight-init: \(path) is taken by another program, or is not a socket.\n")
            #expect(try run("health", "--unix-socket", path).status == 0)
            server.signal(SIGTERM)
            #expect(server.wait() == .exited(0))
            #expect(!FileManager.default.fileExists(atPath: path))
            #expect(try run("health", "--unix-socket", path).status == 1)
        }
    }

    @Test("A stale socket is replaced")
    func leftBehind() throws {
        try withServer { server in
            server.signal(SIGKILL)
            #expect(server.wait() == .killed(SIGKILL))
            #expect(FileManager.default.fileExists(atPath: path))
            let next = try Server(["serve", "--unix-socket", path], [:])
            defer { next.kill() }
            #expect(try run("health", "--unix-socket", path).status == 0)
        }
    }

    @Test("A socket at an impossible path is refused in one sentence")
    func refused() throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        try Data("mine".utf8).write(to: URL(filePath: path))
        let refusals = [
            path: "\(path) is taken by another program, or is not a socket.",
            "\(directory.path)/missing/s": "There is no directory for \(directory.path)/missing/s.",
            "": "\"\" cannot be the path of a socket, which has 1 to 107 bytes.",
            String(repeating: "a", count: 108): "cannot be the path of a socket, which has 1 to 107 bytes.",
        ]
        for (path, words) in refusals {
            let outcome = try run("serve", "--unix-socket", path)
            #expect(outcome.status != 0)
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(try Data(contentsOf: URL(filePath: path)) == Data("mine".utf8))
    }

    @Test("A socket whose queue is full is taken, and health waits for it no longer than its timeout")
    func full() throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let sockets = (0..<3).map { _ in socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        }
        defer { for socket in sockets { close(socket) } }
        let codes = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                [bind(sockets[0], address, size), listen(sockets[0], 0)]
                    + sockets.dropFirst().map { connect($0, address, size) }
            }
        }
        // The queue takes one connection, and the second finds it full.
        try #require(codes == [0, 0, 0, -1])
        let outcome = try run("serve", "--unix-socket", path)
        #expect(outcome.status != 0)
        #expect(outcome.errors == "weight-init: \(path) is taken by another program, or is not a socket.\n")
        let health = try run("health", "--unix-socket", path, "--timeout", "1")
        #expect(health.status == 1)
        #expect(health.errors == "weight-init: not healthy at \(path): no connection within 1 s\n")
    }
}
