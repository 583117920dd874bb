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

    /// `true` if the daemon closes the connection of a client that goes on to send single bytes.
    ///
    /// - Parameter pause: Microseconds.
    static func isCut(_ daemon: HTTPDaemon, while client: RawClient, sends count: Int, every pause: UInt32) -> Bool {
        for _ in 0..<count {
            client.send("a")
            usleep(pause)
            if daemon.openConnections == 0 { return true }
        }
        return false
    }

    @Test("A body within the limit arrives whole", arguments: [0, 1, 16_383, 16_385, limit], [false, true])
    func aBodyWithinTheLimitArrives(_ count: Int, _ isChunked: Bool) throws {
        let body = Pattern.bytes(0..<count)
        let requests = try withClient(Self.limits) { client, _ throws in
            let framing = isChunked ? "Transfer-Encoding: Chunked" : "Content-Length: \(count)"
            client.send("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
            client.send(isChunked ? Self.chunked(body, by: 1000) : body)
            #expect(try client.readResponse().status == 200)
        }
        #expect(requests.map(\.body) == [body])
    }

    @Test("A body over the limit is dropped, refused, and leaves the connection usable", arguments: [false, true])
    func aBodyOverTheLimitIs(_ isChunked: Bool) throws {
        let body = Pattern.bytes(0..<Self.limit + 50_000)
        let requests = try withClient(Self.limits) { client, _ in
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(body.count)"
            client.send("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
            client.send(isChunked ? Self.chunked(body, by: 7000) : body)
            let response = try client.readResponse()
            #expect(response.status == 413)
            #expect(response.text == "limit \(Self.limit)")
            #expect(try client.get("/next").text == "/next")
        }
        #expect(requests.count == 1)
    }

    @Test("A length over the drop limit is refused before the body")
    func aLengthOverTheDropLimit() throws {
        let requests = try withClient(Self.limits) { client, _ in
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.drain + 1)\r\n\r\n")
            let response = try client.readResponse()
            #expect(response.status == 413)
            #expect(response["Connection"] == "close")
            #expect(client.isAtEnd())
        }
        #expect(requests.isEmpty)
    }

    @Test("A chunked body over the drop limit cuts the connection")
    func aChunkedBodyOverTheDrop() throws {
        let requests = try withClient(Self.limits) { client, daemon in
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            // No last chunk: without the limit this would wait for more.
            client.send(Self.chunked(Pattern.bytes(0..<Self.limit + Self.drain + 200_000), by: 10_000).dropLast(5))
            #expect(client.readToEnd().isEmpty)
            #expect(eventually { daemon.activeExchanges == 0 })
        }
        #expect(requests.isEmpty)
    }

    @Test("Expect gets 100 for an acceptable body")
    func expectGets100ForAnAcceptable() throws {
        let requests = try withClient(Self.limits) { client, _ throws in
            client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            #expect(try client.readResponse().status == 100)
            client.send("hello")
            #expect(try client.readResponse().status == 200)
        }
        #expect(requests.map(\.body) == [Array("hello".utf8)])
    }

    @Test("Expect gets a refusal instead of 100 for a refused body")
    func expectGetsARefusalInsteadOf() throws {
        try withClient(Self.limits) { client, _ throws in
            client.send(
                "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: \(Self.limit + 1)\r\n\r\n"
            )
            #expect(try client.readResponse().status == 413)
            #expect(client.isAtEnd())
        }
    }

    @Test("Malformed chunks get the library's own page")
    func malformedChunksGetTheLibraryOwn() throws {
        let requests = try withClient { client, daemon in
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n")
            #expect(String(decoding: client.readToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
            #expect(eventually { daemon.activeExchanges == 0 })
        }
        #expect(requests.isEmpty)
    }

    @Test("An interrupted upload leaves nothing behind")
    func aClientThatBreaksOffIts() throws {
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

    @Test("A late body gets 408 if its rest arrives within the grace period")
    func aLateBodyGets408If() throws {
        let requests = try withClient({ $0.receiveTimeout = .milliseconds(200) }) { client, _ throws in
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            usleep(400_000)
            client.send("world")
            #expect(try client.readResponse().status == 408)
        }
        #expect(requests.isEmpty)
    }

    @Test("Incomplete bodies share a limit on memory, and a body over the limit gets 503")
    func bodiesThatAreNotWholeYet() throws {
        let stub = Stub()
        let half = [UInt8](repeating: 65, count: 600 << 10)
        // Memory for four bodies, and less than for a fifth.
        let memory = 4 * (half.count + 1) + 64 << 10
        try withDaemon(
            stub,
            {
                $0.bodyLimit = half.count + 1
                $0.uploadMemory = memory
                // No client counts as slow, even on a busy machine.
                $0.receiveTimeout = .seconds(600)
                $0.minimumReceiveRate = 0
            }
        ) { daemon in
            // An announced length takes no memory.
            let idle = try (0..<64).map { _ in
                let client = try RawClient(port: daemon.port)
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(half.count)\r\n\r\n")
                return client
            }
            let held = try (0..<4).map { number in
                let client = try RawClient(port: daemon.port)
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(half.count + 1)\r\n\r\n")
                client.send(half)
                #expect(eventually { daemon.load.uploadMemory >= (number + 1) * half.count })
                return client
            }
            #expect(daemon.load.uploadMemory <= memory)
            let refused = try RawClient(port: daemon.port)
            refused.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(half.count)\r\n\r\n")
            refused.send(half)
            #expect(try refused.readResponse().text == "uploadMemory")
            for client in held {
                client.send("A")
                #expect(try client.readResponse().status == 200)
            }
            #expect(eventually { daemon.load.uploadMemory == 0 })
            refused.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nA")
            #expect(try refused.readResponse().status == 200)
            withExtendedLifetime(idle) {}
        }
        #expect(stub.requests.map(\.body.count) == [600 << 10 + 1, 600 << 10 + 1, 600 << 10 + 1, 600 << 10 + 1, 1])
    }

    @Test("A body that arrives below the minimum rate is cut off")
    func aBodyThatArrivesBelowThe() throws {
        // A rate that this connection cannot reach, so that the client is behind after the grace period on any machine.
        let requests = try withClient({ $0.minimumReceiveRate = 1 << 30 }) { client, daemon throws in
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
            #expect(Self.isCut(daemon, while: client, sends: 90, every: 300_000))
            #expect(try client.readResponse().status == 408)
        }
        #expect(requests.isEmpty)
    }

    @Test(
        "A trickling request is cut off, with a response if its first line has arrived",
        arguments: [
            ("G", 0), ("GET /late HTTP/1.1\r\nHost: a\r\nX: ", 408),
            ("POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", 408),
            ("POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n63\r\n", 408),
        ]
    )
    func aTricklingRequestIsCutOff(_ beginning: String, _ status: Int) throws {
        let observer = Observer()
        try withDaemon(observer, { $0.receiveTimeout = .milliseconds(100) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(beginning)
            // The client is never idle, so only the deadline can end the request.
            #expect(Self.isCut(daemon, while: client, sends: 100, every: 100_000))
            if status != 0 {
                let response = try client.readResponse()
                #expect(response.status == status && response["Connection"] == "close" && response.text == "late")
                let end = try #require(observer.ends.last)
                #expect(end.status == status && end.note?.problem == "refused" && end.isWhole)
            }
            #expect(client.readToEnd().isEmpty)
        }
        #expect(observer.requests.isEmpty)
    }
}
