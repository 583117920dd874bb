import Foundation
import HTTPDaemon
import HTTPExchange
import HTTPTypes
import TestSupport
import Testing

@Suite("Abusive clients harm nobody else")
struct AbuseTests {
    struct Input: CustomTestStringConvertible, Sendable {
        var name: String
        var bytes: String
        var testDescription: String { name }

        init(_ name: String, _ bytes: String) {
            (self.name, self.bytes) = (name, bytes)
        }
    }

    private static let chunked = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    private static let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test(
        "Chunks of any valid form make one body",
        arguments: [
            Input("plain", "5\r\nhello\r\n0\r\n\r\n"),
            Input("leading zeros", "0000000000000005\r\nhello\r\n000\r\n\r\n"),
            Input("an extension", "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"),
            Input("a byte each", "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"),
            Input("a trailer", "5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
            // Content-Length and Host in a trailer are ignored.
            Input("a length in the trailer", "5\r\nhello\r\n0\r\nContent-Length: 99\r\nHost: b\r\n\r\n"),
        ]
    )
    func lawfulChunks(_ input: Input) throws {
        let requests = try withClient { client, _ throws in
            client.send(Self.chunked + input.bytes + Self.next)
            #expect(try client.readResponse().text == "/x")
            #expect(try client.readResponse().text == "/next")
        }
        #expect(requests.map(\.body) == [Array("hello".utf8), []])
        #expect(requests.map(\.head.authority) == ["a", "a"])
    }

    @Test(
        "Invalid chunks end the connection, and no request follows them",
        arguments: [
            Input("0x", "0x5\r\nhello\r\n0\r\n\r\n"), Input("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
            Input("less than nothing", "-5\r\nhello\r\n0\r\n\r\n"), Input("a space", " 5\r\nhello\r\n0\r\n\r\n"),
            Input("no size", "\r\nhello\r\n0\r\n\r\n"),
            Input("a size over 2^64", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
            Input("more than the size says", "3\r\nhello\r\n0\r\n\r\n"),
            Input("no line end behind the data", "5\r\nhello0\r\n\r\n"),
        ]
    )
    func unlawfulChunks(_ input: Input) throws {
        let requests = try withClient { client, daemon in
            client.send(Self.chunked + input.bytes + Self.next)
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 4"))
            #expect(!answer.contains("/next"))
            #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
        #expect(requests.isEmpty)
    }

    @Test(
        "Anything but HTTP/1 is refused or dropped, and the connection ends",
        arguments: [
            Input("HTTP/0.9", "GET /x\r\n\r\n"),
            Input("a version of two digits", "GET /x HTTP/1.10\r\nHost: a\r\n\r\n"),
            Input("a version in small letters", "GET /x http/1.1\r\nHost: a\r\n\r\n"),
            Input("white space behind the version", "GET /x HTTP/1.1 \r\nHost: a\r\n\r\n"),
            Input("tabs in the request line", "GET\t/x\tHTTP/1.1\r\nHost: a\r\n\r\n"),
            Input("two CRs", "GET /x HTTP/1.1\r\r\nHost: a\r\n\r\n"),
            Input("a field without a colon", "GET /x HTTP/1.1\r\nHost\r\n\r\n"),
            Input("white space before the first field", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n"),
            Input("a NUL in a name", "GET /x HTTP/1.1\r\nHost\0: a\r\n\r\n"),
            Input("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Input("control characters", "\u{1}\u{2}\u{3}\r\n\r\n"),
        ]
    )
    func noRequest(_ input: Input) throws {
        let requests = try withClient { client, daemon in
            client.send(input.bytes + Self.next)
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            #expect(
                answer.isEmpty || answer.hasPrefix("HTTP/1.1 400 ") || answer.hasPrefix("HTTP/1.1 505 "),
                "\(answer)"
            )
            #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
        #expect(requests.isEmpty)
    }

    @Test(
        "A request that never completes is cut off",
        arguments: ["\u{16}\u{3}\u{1}", "\r\n\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"]
    )
    func silence(_ bytes: String) throws {
        let requests = try withClient({ $0.idleTimeout = .seconds(1) }) { client, daemon in
            client.send(bytes)
            #expect(client.readToEnd().isEmpty)
            #expect(eventually { daemon.openConnections == 0 })
        }
        #expect(requests.isEmpty)
    }

    @Test("Endless header fields are cut off", arguments: ["X: y\r\n", "X", "X: y\r\n z\r\n"])
    func fieldFlood(_ field: String) throws {
        let requests = try withClient { client, daemon in
            client.send("GET /x HTTP/1.1\r\nHost: a\r\n")
            client.send(String(repeating: field, count: 8 << 20 / field.utf8.count))
            // A reset may arrive before the error page.
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 431 "))
            #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
        #expect(requests.isEmpty)
    }

    @Test(
        "Expect without a body gets a final response",
        arguments: ["", "Content-Length: 0\r\n"]
    )
    func expectationOfNothing(_ length: String) throws {
        let gate = Gate()
        gate.release()
        try withDaemon(Deferred.stub(gate)) { daemon in
            for path in ["/x", "/slow"] {
                let client = try RawClient(port: daemon.port)
                // The next request follows at once.
                client.send("POST \(path) HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\(length)\r\n" + Self.next)
                var response = try client.readResponse()
                if response.status == 100 { response = try client.readResponse() }
                #expect(response.status == 200)
                #expect(response.text == (path == "/x" ? "/x" : "done"))
            }
        }
    }

    @Test("A client that has closed its sending half gets the whole response")
    func halfClosed() throws {
        let count = 8 << 20
        let stub = Stub(["/x": { _ in .pattern(count) }])
        try withClient(of: stub, { $0.idleTimeout = .seconds(2) }) { client, _ in
            client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            client.finishSending()
            let response = try client.readResponse()
            #expect(response.status == 200)
            let isWhole = response.body == Pattern.bytes(0..<count)
            #expect(isWhole)
            // The library notices the end of the stream when it waits for the next request, at the latest at the idle
            // timeout.
            #expect(client.isAtEnd())
        }
    }

    @Test(
        "A client that stops within a body leaves nothing behind",
        arguments: ["Content-Length: 1000\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n3e8\r\nhalf"],
        [true, false]
    )
    func brokenBody(_ body: String, _ resets: Bool) throws {
        let stub = Stub()
        try withDaemon(stub) { daemon in
            let clients = try (0..<20).map { _ in try RawClient(port: daemon.port) }
            for client in clients { client.send("POST /x HTTP/1.1\r\nHost: a\r\n\(body)") }
            #expect(eventually { daemon.activeExchanges == 20 })
            for client in clients {
                if resets { client.reset() } else { client.finishSending() }
            }
            #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
        #expect(stub.requests.isEmpty)
    }

    @Test("A thousand requests sent at once are answered in order, HEAD and 304 among them")
    func pipeline() throws {
        let stub = Stub([
            "/304": { _ in .ready(OutgoingResponse(head: .init(status: .notModified), body: .unsent(byteCount: 99))) }
        ])
        try withClient(of: stub) { client, _ in
            let kinds = [("GET", "/"), ("HEAD", "/"), ("GET", "/304")]
            // The kernel's buffers hold requests and responses, because the client reads nothing until it has sent all.
            client.send(
                (0..<1000).map { "\(kinds[$0 % 3].0) \(kinds[$0 % 3].1)?\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined()
            )
            for number in 0..<1000 {
                let response = try client.readResponse(toHead: number % 3 == 1)
                #expect(response.status == (number % 3 == 2 ? 304 : 200))
                #expect(number % 3 != 0 || response.text == "/?\(number)")
                #expect(number % 3 != 1 || response["Content-Length"] == String("/?\(number)".utf8.count))
            }
        }
        #expect(stub.requests.map(\.head.target) == (0..<1000).map { ["/?", "/?", "/304?"][$0 % 3] + "\($0)" })
    }
}
