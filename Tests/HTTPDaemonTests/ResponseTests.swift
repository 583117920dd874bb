import ByteSource
import Foundation
import HTTPDaemon
import HTTPExchange
import HTTPTypes
import TestSupport
import Testing

@Suite struct Responses {
    static func get(_ path: String, method: String = "GET", more: String = "") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: a\r\n\(more)\r\n"
    }

    static func serving(_ make: @escaping @Sendable () -> OutgoingResponse) -> Stub {
        Stub(["/x": { _ in .ready(make()) }])
    }

    @Test(arguments: [0, 1, 65_536, 65_537, 3_000_000])
    func `bytes arrive with their length`(_ count: Int) throws {
        let bytes = Pattern.bytes(0..<count)
        try withDaemon(Self.serving { .ok(.bytes(bytes)) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x") + Self.get("/y"))
            let response = try client.readResponse()
            #expect(response["Content-Length"] == "\(count)")
            #expect(response.body == bytes)
            #expect(response["Date"] != nil)
            #expect(try client.readResponse().text == "/y")
        }
    }

    @Test(arguments: [Int.max, 1, 4099], [(4096, false), (1 << 20, false), (1 << 20, true)])
    func `a source arrives from its range, however short it reads`(_ piece: Int, _ way: (Int, Bool)) throws {
        let (block, pauses) = way
        let range = 777..<(piece == 1 ? 2000 : 300_000)
        let traces = Traces()
        let stub = Self.serving {
            .ok(.source(Pattern(byteCount: 1 << 30, piece: piece, pauses: pauses, traces: traces), range: range))
        }
        try withDaemon(stub, { $0.blockSize = block }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x") + Self.get("/y"))
            let response = try client.readResponse()
            #expect(response["Content-Length"] == "\(range.count)")
            #expect(response.body == Pattern.bytes(range))
            #expect(try client.readResponse().text == "/y")
        }
        #expect(traces.largestRead <= block)
        #expect(traces.furthest == range.upperBound)
        #expect(traces.gone == traces.made)
    }

    @Test(
        arguments: [
            (65_536, 65_536), (65_537, 65_536), (1 << 20, 64 << 10), (4 << 20, 256 << 10), (5_000_000, 19 << 14),
            (20 << 20, 1 << 20),
        ]
    )
    func `a body is made in sixteen blocks, and as many more as its size takes`(_ count: Int, _ block: Int) throws {
        let traces = Traces()
        try withDaemon(Self.serving { .ok(.source(Pattern(byteCount: count, traces: traces), range: 0..<count)) }) {
            daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x"))
            #expect(try client.readResponse().body == Pattern.bytes(0..<count))
        }
        #expect(traces.largestRead == block)
    }

    @Test(arguments: [0, 1, 1_000_000], [false, true])
    func `a stream arrives chunked`(_ count: Int, _ pauses: Bool) throws {
        let traces = Traces()
        try withDaemon(Self.serving { .ok(.stream(Pattern(byteCount: count, pauses: pauses, traces: traces))) }) {
            daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x") + Self.get("/y"))
            let response = try client.readResponse()
            #expect(response["Transfer-Encoding"] == "chunked")
            #expect(response["Content-Length"] == nil)
            #expect(response.body == Pattern.bytes(0..<count))
            #expect(try client.readResponse().text == "/y")
        }
        #expect(traces.gone == 1)
    }

    @Test func `a stream to an HTTP/1.0 client ends with the connection`() throws {
        try withDaemon(Self.serving { .ok(.stream(Pattern(byteCount: 1000))) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("GET /x HTTP/1.0\r\n\r\n")
            let response = try client.readResponse()
            #expect(response["Transfer-Encoding"] == nil)
            #expect(response.body == Pattern.bytes(0..<1000))
        }
    }

    struct Unsent: CustomTestStringConvertible, Sendable {
        var name: String
        var method = "HEAD"
        var status = HTTPResponse.Status.ok
        var body: @Sendable (Traces) -> ResponseBody
        var length: String?
        var testDescription: String { name }
    }

    @Test(arguments: [
        Unsent(name: "HEAD of nothing", body: { _ in .empty }, length: "0"),
        Unsent(name: "HEAD of bytes", body: { _ in .bytes([1, 2, 3]) }, length: "3"),
        Unsent(
            name: "HEAD of a source",
            body: { .source(Pattern(byteCount: 1 << 40, traces: $0), range: 5..<1 << 40) },
            length: "\((1 << 40) - 5)"
        ),
        Unsent(name: "HEAD of a stated length", body: { _ in .unsent(byteCount: 1 << 50) }, length: "\(1 << 50)"),
        Unsent(name: "HEAD of a stated length of 0", body: { _ in .unsent(byteCount: 0) }, length: "0"),
        Unsent(
            name: "304 of a stated length",
            method: "GET",
            status: .notModified,
            body: { _ in .unsent(byteCount: 12345) },
            length: "12345"
        ),
        Unsent(
            name: "304 of a source",
            method: "GET",
            status: .notModified,
            body: { .source(Pattern(byteCount: 99, traces: $0), range: 0..<99) },
            length: "99"
        ),
    ])
    func `a body of known length that is not sent is not read, and the connection goes on`(_ unsent: Unsent) throws {
        let traces = Traces()
        let stub = Self.serving {
            OutgoingResponse(head: HTTPResponse(status: unsent.status), body: unsent.body(traces))
        }
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x", method: unsent.method) + Self.get("/y"))
            let response = try client.readResponse(toHead: true)
            #expect(response.status == unsent.status.code)
            #expect(response["Content-Length"] == unsent.length)
            #expect(try client.readResponse().text == "/y")
        }
        #expect(traces.reads == 0)
        #expect(traces.gone == traces.made)
    }

    @Test(arguments: [
        Unsent(name: "HEAD of a stream", body: { .stream(Pattern(byteCount: 1000, traces: $0)) }),
        Unsent(name: "HEAD of no stated length", body: { _ in .unsent(byteCount: nil) }),
        Unsent(
            name: "304 of no stated length",
            method: "GET",
            status: .notModified,
            body: { _ in .unsent(byteCount: nil) }
        ),
        Unsent(
            name: "304 of a stream",
            method: "GET",
            status: .notModified,
            body: { .stream(Pattern(byteCount: 9, traces: $0)) }
        ),
        Unsent(name: "304 of nothing", method: "GET", status: .notModified, body: { _ in .empty }),
    ])
    func `a body of unknown length that is not sent leaves no bytes behind`(_ unsent: Unsent) throws {
        let traces = Traces()
        let stub = Self.serving {
            OutgoingResponse(head: HTTPResponse(status: unsent.status), body: unsent.body(traces))
        }
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x", method: unsent.method))
            let response = try client.readHead()
            #expect(response.status == unsent.status.code)
            #expect(response["Content-Length"] == nil)
            #expect(response["Transfer-Encoding"] == nil)
            #expect(response["Connection"] == "close")
            #expect(client.isAtEnd())
        }
        #expect(traces.reads == 0)
        #expect(traces.gone == traces.made)
    }

    @Test func `204 has neither length nor body`() throws {
        let stub = Self.serving { OutgoingResponse(head: HTTPResponse(status: .noContent)) }
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x") + Self.get("/y"))
            let response = try client.readResponse()
            #expect(response.status == 204)
            #expect(response["Content-Length"] == nil)
            #expect(try client.readResponse().text == "/y")
        }
    }

    struct Unsendable: CustomTestStringConvertible, Sendable {
        var name: String
        var make: @Sendable (Traces) -> OutgoingResponse
        var testDescription: String { name }
    }

    static func source(_ traces: Traces, _ head: HTTPResponse) -> OutgoingResponse {
        OutgoingResponse(head: head, body: .source(Pattern(byteCount: 10, traces: traces), range: 0..<10))
    }

    @Test(arguments: [
        Unsendable(name: "an empty field") {
            source($0, HTTPResponse(status: .ok, headerFields: [.eTag: ""]))
        },
        Unsendable(name: "a length of its own") {
            source($0, HTTPResponse(status: .ok, headerFields: [.contentLength: "10"]))
        },
        Unsendable(name: "a coding of its own") {
            source($0, HTTPResponse(status: .ok, headerFields: [.transferEncoding: "chunked"]))
        },
        Unsendable(name: "an informational status") { source($0, HTTPResponse(status: .init(code: 103))) },
        Unsendable(name: "an unsent body where one is due") { _ in .ok(.unsent(byteCount: 10)) },
    ])
    func `what cannot be sent becomes a 500`(_ unsendable: Unsendable) throws {
        let traces = Traces()
        try withDaemon(Self.serving { unsendable.make(traces) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x") + Self.get("/y"))
            let response = try client.readResponse()
            #expect(response.status == 500)
            #expect(response["Content-Type"] == "application/problem+json")
            #expect(try client.readResponse().text == "/y")
        }
        #expect(traces.gone == traces.made)
    }

    @Test func `line breaks in a field's value do not split the response`() throws {
        let stub = Self.serving {
            OutgoingResponse(head: HTTPResponse(status: .ok, headerFields: [.eTag: "a\r\nX-Evil: b"]))
        }
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x"))
            #expect(try client.readResponse()["X-Evil"] == nil)
        }
    }

    @Test func `repeated fields are all sent`() throws {
        let stub = Self.serving {
            var head = HTTPResponse(status: .ok)
            head.headerFields.append(HTTPField(name: .vary, value: "Accept"))
            head.headerFields.append(HTTPField(name: .vary, value: "Origin"))
            return OutgoingResponse(head: head)
        }
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x"))
            #expect(try client.readResponse().fields.filter { $0.name == "Vary" }.map(\.value) == ["Accept", "Origin"])
        }
    }

    @Test func `a source that breaks its promise cuts the connection`() throws {
        final class Broken: ByteSource {
            let byteCount = 10
            func read(at position: Int, into destination: inout MutableRawSpan) -> Int { destination.byteCount + 1 }
        }
        try withDaemon(Self.serving { .ok(.source(Broken(), range: 0..<10)) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send(Self.get("/x"))
            #expect(try client.readHead().status == 200)
            #expect(client.isAtEnd())
            #expect(eventually { daemon.activeExchanges == 0 })
        }
    }

    @Test func `a slow reader holds up nobody and no more than a block is made ahead`() throws {
        let count = 64 << 20
        let traces = Traces()
        let stub = Self.serving { .ok(.source(Pattern(byteCount: count, traces: traces), range: 0..<count)) }
        try withDaemon(stub, { $0.blockSize = 64 << 10 }) { daemon in
            let slow = try (0..<8).map { _ in try RawClient(port: daemon.port, receiveBuffer: 16 << 10) }
            for client in slow {
                client.send(Self.get("/x"))
                #expect(try client.readHead().status == 200)
            }
            for _ in 0..<50 {
                let quick = try RawClient(port: daemon.port)
                quick.send(Self.get("/y"))
                #expect(try quick.readResponse().text == "/y")
            }
            #expect(eventually { daemon.activeExchanges == 8 })
            // What was made lies in socket buffers, the rest is not there.
            #expect(traces.furthest < count / 2)
            #expect(traces.largestRead <= 64 << 10)
            #expect(slow[0].read(100_000) == Pattern.bytes(0..<100_000))
            for client in slow {
                client.reset()
            }
            #expect(eventually { daemon.activeExchanges == 0 && traces.gone == 8 })
        }
    }

    @Test func `an interrupted download gives its body back`() throws {
        let traces = Traces()
        let stub = Self.serving { .ok(.source(Pattern(byteCount: 1 << 30, traces: traces), range: 0..<1 << 30)) }
        try withDaemon(stub) { daemon in
            for _ in 0..<10 {
                let client = try RawClient(port: daemon.port)
                client.send(Self.get("/x"))
                #expect(client.read(100_000).count == 100_000)
                client.reset()
            }
            #expect(eventually { traces.gone == 10 && daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
    }
}
