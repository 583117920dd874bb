import Foundation
import HTTPDaemon
import HTTPExchange
import HTTPTypes
import TestSupport
import Testing

@Suite struct Framing {
    struct Head: CustomTestStringConvertible, Sendable {
        var name: String
        var bytes: String
        var status = 400
        var testDescription: String { name }
    }

    /// Heads that two readers could understand differently, or that no reader should accept.
    static let misreadable: [Head] = [
        Head(
            name: "two lengths",
            bytes: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"
        ),
        Head(
            name: "the same length twice",
            bytes: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"
        ),
        Head(
            name: "coding and length",
            bytes: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
        ),
        Head(
            name: "length and coding",
            bytes: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        Head(name: "gzip coding", bytes: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
        Head(
            name: "gzip, chunked",
            bytes: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
        ),
        Head(
            name: "chunked twice",
            bytes:
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        Head(name: "chunked in HTTP/1.0", bytes: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Head(name: "no host", bytes: "GET / HTTP/1.1\r\n\r\n"),
        Head(name: "two hosts", bytes: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Head(name: "a host that is none", bytes: "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Head(name: "two ranges", bytes: "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n"),
        Head(name: "white space before the colon", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n"),
        Head(name: "a name that is no token", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n"),
        Head(name: "no name", bytes: "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
        Head(name: "a control character in a value", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{1}c\r\n\r\n"),
        Head(name: "a bare CR in a value", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n"),
        Head(name: "a NUL in a value", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
        Head(name: "a NUL that ends the last value early", bytes: "GET / HTTP/1.1\r\nHost: a\0.example\r\n\r\n"),
        Head(name: "two NULs in a value", bytes: "GET / HTTP/1.1\r\nX: b\0\0c\r\nHost: a\r\n\r\n"),
        Head(name: "a NUL in the target", bytes: "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "a NUL in the method", bytes: "GET\0X / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "a folded field", bytes: "GET / HTTP/1.1\r\nX: b\r\n c\r\nHost: a\r\n\r\n"),
        Head(name: "a folded last field", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"),
        Head(name: "a bare LF after the request line", bytes: "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        Head(name: "a bare LF after a field", bytes: "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        Head(name: "a bare LF at the end", bytes: "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        Head(name: "two spaces before the target", bytes: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "a space in the target", bytes: "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "a letter beyond ASCII in the target", bytes: "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "a method that is no token", bytes: "G[T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "HTTP/2.0", bytes: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", status: 505),
        Head(
            name: "another expectation",
            bytes: "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n",
            status: 417
        ),
        Head(
            name: "257 fields",
            bytes: "GET / HTTP/1.1\r\nHost: a\r\n" + (0..<257).map { "X\($0): b\r\n" }.joined() + "\r\n",
            status: 431
        ),
    ]

    static let misreadableHosts = [
        "a:x", "a:99999", "a:8 0", "a:80:80", "[::1", "[::1]x", "[::1]:x", "[::g]", "[]", "::1", "a]", "a%4", "a%zz",
        "a,b", "a@b",
        "\u{e4}",
    ].map { Head(name: "host \($0)", bytes: "GET / HTTP/1.1\r\nHost: \($0)\r\n\r\n") }

    /// Fields with letters that Swift folds to ASCII letters, or with letters where only ASCII is allowed.
    static let misreadableWords = [
        "Transfer-Encoding: chun\u{212A}ed", "Transfer-Encoding: chunked\u{e4}", "Expect: 100-\u{e4}",
        "Connection: \u{212A}eep-alive",
    ].map { Head(name: $0, bytes: "POST / HTTP/1.1\r\nHost: a\r\n\($0)\r\n\r\n0\r\n\r\n") }

    @Test(
        "An ambiguous head is refused and closes the connection",
        arguments: misreadable + misreadableHosts + misreadableWords
    )
    func anAmbiguousHeadIsRefusedAnd(_ head: Head) throws {
        let stub = Stub()
        try withClient(of: stub) { client, _ in
            client.send(head.bytes)
            let response = try client.readResponse()
            #expect(response.status == head.status)
            #expect(response["Connection"] == "close")
            // Nothing after the head was taken for a request.
            #expect(client.readToEnd().isEmpty)
            #expect(stub.requests.isEmpty)
        }
    }

    static let unreadableLengths: [(text: String, status: Int)] = [
        ("five", 400), ("5, 5", 400), ("5,5", 400), ("+5", 400), ("-1", 400), ("5 ", 400), ("5\t5", 400), ("", 400),
        ("0x5", 400), ("18446744073709551615", 413), ("18446744073709551616", 413), ("99999999999999999999999", 413),
    ]

    /// Without the daemon's own check, the library answers these lengths itself, with two heads, before it calls the
    /// handler.
    @Test(
        "An unreadable length never reaches the handler, has one response and closes the connection",
        arguments: unreadableLengths,
        ["POST", "GET"]
    )
    func anUnreadableLengthNeverReachesThe(_ length: (text: String, status: Int), _ method: String) throws {
        let observer = Observer()
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port)
            // Other connections of the same thread are at every stage of a request.
            let idle = try (0..<8).map { _ in try RawClient(port: daemon.port) }
            for (index, other) in idle.enumerated() {
                other.send(
                    "POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".prefix(index * 9).description
                )
            }
            #expect(try client.get("/first").text == "/first")
            client.send("\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length.text)\r\n\r\nhello")
            let response = try client.readResponse()
            #expect(response.status == length.status)
            #expect(response["Connection"] == "close" && response["Date"]?.hasSuffix(" GMT") == true)
            #expect(
                response.text == (length.status == 413 ? "limit 1048576" : "content-length is not a number of bytes")
            )
            #expect(client.readToEnd().isEmpty)
            #expect(eventually { observer.ends.contains { $0.status == length.status } })
            let end = try #require(observer.ends.first { $0.status == length.status })
            #expect(end.note?.problem == "refused" && end.isWhole && end.bodyByteCount == response.body.count)
            withExtendedLifetime(idle) {}
        }
        #expect(observer.requests.allSatisfy { $0.head.target != "/" })
    }

    @Test(
        "A head beyond the connection's memory gets the library's own page",
        arguments: [("GET /", 414), ("GET / HTTP/1.1\r\nHost: a\r\nX: ", 431)]
    )
    func aHeadBeyondTheConnectionMemory(
        _ beginning: String,
        _ status: Int
    ) throws {
        let stub = Stub()
        try withClient(of: stub) { client, _ in
            client.send(beginning + String(repeating: "a", count: 200_000))
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            // A reset may arrive before the page, because the rest of the head is not read.
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 \(status) "))
            #expect(stub.requests.isEmpty)
        }
    }

    static let plainHeads: [Head] = [
        Head(name: "plain", bytes: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "behind an empty line", bytes: "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Head(name: "white space around values", bytes: "GET / HTTP/1.1\r\nHost:a\r\nX:\r\nY: \t b \r\n\r\n"),
        Head(name: "empty host", bytes: "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
        Head(
            name: "repeated fields",
            bytes: "GET / HTTP/1.1\r\nHost: [::1]:8080\r\nCookie: a=b; c=d\r\nX: 1\r\nX: 2\r\n\r\n"
        ),
        Head(name: "HTTP/1.0 without host", bytes: "GET / HTTP/1.0\r\n\r\n"),
        Head(
            name: "40 KB in a field",
            bytes: "GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 40_000))\r\nHost: a\r\n\r\n"
        ),
        Head(name: "beyond ASCII in a value", bytes: "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e4}\r\n\r\n"),
        Head(
            name: "200 fields",
            bytes: "GET / HTTP/1.1\r\nHost: a\r\n\((0..<200).map { "X-\($0): \($0)\r\n" }.joined())\r\n"
        ),
    ]

    static let plainHosts = [
        "a:", "a:0", "a:65535", "[::]:", "[::ffff:1.2.3.4]", "xn--nxasmq6b.example", "a%20b", "127.0.0.1:8080",
    ].map { Head(name: "host \($0)", bytes: "GET / HTTP/1.1\r\nHost: \($0)\r\n\r\n") }

    @Test("A plain head is accepted, at once or byte by byte", arguments: plainHeads + plainHosts)
    func aPlainHeadIsAcceptedAt(_ head: Head) throws {
        try withClient({ $0.connectionMemory = 64 << 10 }) { client, daemon in
            client.send(head.bytes)
            #expect(try client.readResponse().status == 200)

            let slow = try RawClient(port: daemon.port)
            var noDelay: Int32 = 1
            setsockopt(slow.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &noDelay, 4)
            for byte in head.bytes.utf8.prefix(300) {
                slow.send([byte])
            }
            slow.send(Array(head.bytes.utf8.dropFirst(300)))
            #expect(try slow.readResponse().status == 200)
        }
    }

    @Test(
        "The target arrives unchanged",
        arguments: ["/a%00b", "/a%2Fb?x=%2B+1&y", "/?b", "/a?x=1&x=2", "/%", "*", "http://a/b", "/a//b/../c#d"]
    )
    func theTargetArrivesUnchanged(_ target: String) throws {
        let stub = Stub()
        try withClient(of: stub) { client, _ throws in
            #expect(try client.get(target).text == target)
            #expect(stub.requests.map(\.head.target) == [target])
        }
    }

    @Test("Method, host, fields, body and peer arrive")
    func methodHostFieldsBodyAndPeer() throws {
        let requests = try withClient { client, _ throws in
            client.send("PATCH /x HTTP/1.1\r\nHost: h:1\r\nAccept: a\r\nAccept: b\r\nContent-Length: 3\r\n\r\nabc")
            #expect(try client.readResponse().status == 200)
        }
        let request = try #require(requests.first)
        #expect(request.head.method.rawValue == "PATCH")
        #expect(request.head.authority == "h:1")
        #expect(request.head.fields[values: .accept] == ["a", "b"])
        #expect(request.body == Array("abc".utf8))
        #expect(request.peer == "127.0.0.1")
    }

    @Test("Pipelined requests are answered in order")
    func pipelinedRequestsAreAnsweredInOrder() throws {
        try withClient { client, _ throws in
            let bodies = ["", "xyz", ""]
            client.send(
                bodies.enumerated().map { index, body in
                    "POST /\(index) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n\(body)"
                }.joined()
            )
            for index in bodies.indices {
                #expect(try client.readResponse().text == "/\(index)")
            }
        }
    }
}
