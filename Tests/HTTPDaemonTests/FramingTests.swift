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

    /// Heads that two readers could understand differently, or that no reader should.
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

    @Test(arguments: misreadable)
    func `a head that can be misread is refused, and the connection with it`(_ head: Head) throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(head.bytes)
            let response = try client.readResponse()
            #expect(response.status == head.status)
            #expect(response["Connection"] == "close")
            // Nothing behind the head was taken for a request.
            #expect(client.readToEnd().isEmpty)
            #expect(stub.requests.isEmpty)
        }
    }

    /// The library answers these itself, before anybody is asked.
    @Test(arguments: [
        "Content-Length: five", "Content-Length: 5, 5", "Content-Length: +5", "Content-Length: 5 ", "Content-Length:",
        "Content-Length: 99999999999999999999999",
    ])
    func `an unreadable length never reaches the handler and closes the connection`(_ field: String) throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("POST / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\nhello")
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 4"))
            #expect(stub.requests.isEmpty)
        }
    }

    @Test(arguments: [("GET /", 414), ("GET / HTTP/1.1\r\nHost: a\r\nX: ", 431)])
    func `a head beyond the connection's memory gets the library's own page`(
        _ beginning: String,
        _ status: Int
    ) throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(beginning + String(repeating: "a", count: 200_000))
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            // A reset may overtake the page, for the rest of the head is not read.
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

    @Test(arguments: plainHeads)
    func `a plain head is taken, at once or byte by byte`(_ head: Head) throws {
        try withDaemon(Stub(), { $0.connectionMemory = 64 << 10 }) { daemon in
            let client = try RawClient(port: daemon.port)
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

    @Test(arguments: ["/a%00b", "/a%2Fb?x=%2B+1&y", "/?b", "/a?x=1&x=2", "/%", "*", "http://a/b", "/a//b/../c#d"])
    func `the target arrives as it was sent`(_ target: String) throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.readResponse().text == target)
            #expect(stub.requests.map(\.head.path) == [target])
        }
    }

    @Test func `method, host, fields, body and peer arrive`() throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("PATCH /x HTTP/1.1\r\nHost: h:1\r\nAccept: a\r\nAccept: b\r\nContent-Length: 3\r\n\r\nabc")
            #expect(try client.readResponse().status == 200)
        }
        let request = try #require(stub.requests.first)
        #expect(request.head.method.rawValue == "PATCH")
        #expect(request.head.authority == "h:1")
        #expect(request.head.headerFields[values: .accept] == ["a", "b"])
        #expect(request.body == Array("abc".utf8))
        #expect(request.peer == "127.0.0.1")
    }

    @Test func `pipelined requests are answered in order`() throws {
        try withDaemon(Stub()) { daemon in
            let client = try RawClient(port: daemon.port)
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
