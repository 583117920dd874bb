import Foundation
import HTTPDaemon
import HTTPExchange
import TestSupport
import Testing

@Suite struct Upload {
    static let limit = 100_000
    static let drain = 400_000

    static func limits(_ configuration: inout DaemonConfiguration) {
        configuration.bodyLimit = limit
        configuration.drainLimit = drain
    }

    static func chunked(_ body: [UInt8], by size: Int) -> [UInt8] {
        var result: [UInt8] = []
        for start in stride(from: 0, to: body.count, by: size) {
            let chunk = body[start..<min(start + size, body.count)]
            result += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [13, 10]
        }
        return result + Array("0\r\n\r\n".utf8)
    }

    @Test(arguments: [0, 1, 16_383, 16_385, limit], [false, true])
    func `a body within the limit arrives whole`(_ count: Int, _ isChunked: Bool) throws {
        let stub = Stub()
        let body = Pattern.bytes(0..<count)
        try withDaemon(stub, Self.limits) { daemon in
            let client = try RawClient(port: daemon.port)
            let framing = isChunked ? "Transfer-Encoding: Chunked" : "Content-Length: \(count)"
            client.send("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
            client.send(isChunked ? Self.chunked(body, by: 1000) : body)
            #expect(try client.readResponse().status == 200)
        }
        #expect(stub.requests.map(\.body) == [body])
    }

    @Test(arguments: [false, true])
    func `a body over the limit is dropped, refused, and leaves the connection usable`(_ isChunked: Bool) throws {
        let stub = Stub()
        let body = Pattern.bytes(0..<Self.limit + 50_000)
        try withDaemon(stub, Self.limits) { daemon in
            let client = try RawClient(port: daemon.port)
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(body.count)"
            client.send("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
            client.send(isChunked ? Self.chunked(body, by: 7000) : body)
            let response = try client.readResponse()
            #expect(response.status == 413)
            #expect(response.text == "limit \(Self.limit)")
            client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.readResponse().text == "/next")
        }
        #expect(stub.requests.count == 1)
    }

    @Test func `a length beyond what would be dropped is refused on the head alone`() throws {
        let stub = Stub()
        try withDaemon(stub, Self.limits) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.drain + 1)\r\n\r\n")
            let response = try client.readResponse()
            #expect(response.status == 413)
            #expect(response["Connection"] == "close")
            #expect(client.isAtEnd())
        }
        #expect(stub.requests.isEmpty)
    }

    @Test func `a chunked body beyond what is dropped cuts the connection`() throws {
        let stub = Stub()
        try withDaemon(stub, Self.limits) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            // No last chunk: without the limit this would wait for more.
            client.send(Self.chunked(Pattern.bytes(0..<Self.limit + Self.drain + 200_000), by: 10_000).dropLast(5))
            #expect(client.readToEnd().isEmpty)
            #expect(eventually { daemon.activeExchanges == 0 })
        }
        #expect(stub.requests.isEmpty)
    }

    @Test func `leave to send a body is given where it will be taken`() throws {
        let stub = Stub()
        try withDaemon(stub, Self.limits) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            #expect(try client.readResponse().status == 100)
            client.send("hello")
            #expect(try client.readResponse().status == 200)
        }
        #expect(stub.requests.map(\.body) == [Array("hello".utf8)])
    }

    @Test func `leave to send a body is not given where it would be refused`() throws {
        try withDaemon(Stub(), Self.limits) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(
                "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: \(Self.limit + 1)\r\n\r\n"
            )
            #expect(try client.readResponse().status == 413)
            #expect(client.isAtEnd())
        }
    }

    @Test func `chunks that are none get the library's own page`() throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n")
            #expect(String(decoding: client.readToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
            #expect(eventually { daemon.activeExchanges == 0 })
        }
        #expect(stub.requests.isEmpty)
    }

    @Test func `a client that breaks off its upload leaves nothing behind`() throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            for _ in 0..<20 {
                let client = try RawClient(port: daemon.port)
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
                client.reset()
            }
            #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
        #expect(stub.requests.isEmpty)
    }

    @Test func `a late body is refused with 408 if its rest comes within the grace`() throws {
        let stub = Stub()
        try withDaemon(stub, { $0.receiveTimeout = .milliseconds(200) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            usleep(400_000)
            client.send("world")
            #expect(try client.readResponse().status == 408)
        }
        #expect(stub.requests.isEmpty)
    }

    @Test(arguments: [
        "G", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n",
    ])
    func `a request that trickles in is cut off`(_ beginning: String) throws {
        let stub = Stub()
        try withDaemon(stub, { $0.receiveTimeout = .milliseconds(100) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(beginning)
            // Half a byte's worth of patience at a time, never idle: only the deadline can end this.
            var cut = false
            for _ in 0..<100 where !cut {
                client.send("a")
                usleep(100_000)
                cut = daemon.openConnections == 0
            }
            #expect(cut)
        }
        #expect(stub.requests.isEmpty)
    }
}
