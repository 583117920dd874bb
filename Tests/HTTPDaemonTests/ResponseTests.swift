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

    @Test("Bytes arrive with their length", arguments: [0, 1, 65_536, 65_537, 3_000_000])
    func bytesArriveWithTheirLength(_ count: Int) throws {
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

    @Test(
        "A source's range arrives whole, however short its reads are",
        arguments: [Int.max, 1, 4099],
        [(4096, false), (1 << 20, false), (1 << 20, true)]
    )
    func aSourceRangeArrivesWholeHowever(_ piece: Int, _ way: (Int, Bool)) throws {
        let (block, pauses) = way
        let range = 777..<(piece == 1 ? 2000 : 300_000)
        let traces = Traces()
        let stub = Self.serving {
            .ok(.source(Pattern(byteCount: 1 << 30, piece: piece, pauses: pauses, traces: traces), range: range))
        }
        try withClient(of: stub, { $0.blockSize = block }) { client, _ in
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
        "A body has at least sixteen blocks",
        arguments: [
            (65_536, 65_536), (65_537, 65_536), (1 << 20, 64 << 10), (4 << 20, 256 << 10), (5_000_000, 19 << 14),
            (20 << 20, 1 << 20),
        ] as [(Int, Int)]
    )
    func aBodyHasAtLeastSixteen(_ count: Int, _ block: Int) throws {
        let traces = Traces()
        try withDaemon(Self.serving { .ok(.source(Pattern(byteCount: count, traces: traces), range: 0..<count)) }) {
            daemon in
            let client = try RawClient(port: daemon.port)
            #expect(try client.get("/x").body == Pattern.bytes(0..<count))
        }
        #expect(traces.largestRead == block)
    }

    @Test("A stream arrives chunked", arguments: [0, 1, 1_000_000], [false, true])
    func aStreamArrivesChunked(_ count: Int, _ pauses: Bool) throws {
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

    @Test("A stream to an HTTP/1.0 client ends with the connection")
    func aStreamToAnHTTP1() throws {
        try withDaemon(Self.serving { .ok(.stream(Pattern(byteCount: 1000))) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("GET /x HTTP/1.0\r\n\r\n")
            let response = try client.readResponse()
            #expect(response["Transfer-Encoding"] == nil)
            #expect(response.body == Pattern.bytes(0..<1000))
        }
    }

    /// A stream that pauses and, as one of numbers does, writes only pieces of a smallest size.
    private final class Numbers: ByteStream {
        private var left: Int
        private var pauses = false

        init(count: Int) { left = count }

        func read(into destination: inout MutableRawSpan) -> Int? {
            guard left > 0 else { return nil }
            pauses.toggle()
            guard destination.byteCount >= 32, !pauses else { return 0 }
            left -= 1
            for index in 0..<32 { destination.storeBytes(of: UInt8(left % 251), toByteOffset: index, as: UInt8.self) }
            return 32
        }
    }

    @Test(
        "A stream of numbers arrives whole with every version of HTTP",
        arguments: [("HTTP/1.0", "x"), ("HTTP/1.0", "keep-alive"), ("HTTP/1.1", "close")]
    )
    func aStreamOfNumbersArrivesWhole(_ version: String, _ connection: String) throws {
        let count = 10_000
        try withDaemon(Self.serving { .ok(.stream(Numbers(count: count))) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("GET /x \(version)\r\nHost: a\r\nConnection: \(connection)\r\n\r\n")
            let response = try client.readResponse()
            #expect(response["Content-Length"] == nil)
            #expect((response["Transfer-Encoding"] == "chunked") == (version == "HTTP/1.1"))
            #expect(response.body == (0..<count).reversed().flatMap { [UInt8](repeating: UInt8($0 % 251), count: 32) })
            #expect(client.isAtEnd())
            #expect(eventually { daemon.activeExchanges == 0 && daemon.load.bodyMemory == 0 })
        }
    }

    /// The end of the connection ends a body of unknown length in HTTP/1.0, so a client could take a part for the
    /// whole.
    @Test("A broken stream to an HTTP/1.0 client ends with a reset", arguments: [false, true])
    func aBrokenStreamToAnHTTP(_ stops: Bool) throws {
        final class Broken: ByteStream {
            private let isEndless: Bool
            private var isBegun = false
            init(isEndless: Bool) { self.isEndless = isEndless }
            func read(into destination: inout MutableRawSpan) -> Int? {
                defer { isBegun = true }
                if isBegun, isEndless { usleep(1000) }
                return isBegun ? isEndless ? 0 : -1 : 64
            }
        }
        try withDaemon(Self.serving { .ok(.stream(Broken(isEndless: stops))) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.send("GET /x HTTP/1.0\r\n\r\n")
            #expect(try client.readHead().status == 200)
            if stops {
                #expect(client.read(64).count == 64)
                daemon.stop()
            }
            #expect(client.readToReset())
        }
    }

    @Test("A client that leaves is noticed even if its body has no bytes yet")
    func aClientThatLeavesABody() throws {
        final class Silent: ByteStream {
            func read(into destination: inout MutableRawSpan) -> Int? {
                usleep(1000)
                return 0
            }
        }
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            try withDaemon(Self.serving { .ok(.stream(Silent())) }) { daemon in
                let client = try RawClient(port: daemon.port)
                client.send("GET /x \(version)\r\nHost: a\r\n\r\n")
                #expect(eventually { daemon.activeExchanges == 1 })
                client.finishSending()
                #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
            }
        }
    }

    @Test("A large body in memory counts until it has been sent")
    func aLargeBodyThatIsWhole() throws {
        let body = [UInt8](repeating: 7, count: 8 << 20)
        try withDaemon(
            Self.serving { .ok(.bytes(body)) },
            {
                $0.connectionLimit = 4
                $0.bodyMemory = 20 << 20
            }
        ) { daemon in
            let clients = try (0..<2).map { _ in try RawClient.slowReader(port: daemon.port, "/x") }
            #expect(daemon.load.bodyMemory >= 16 << 20)
            let refused = try RawClient(port: daemon.port)
            #expect(try refused.get("/x").text == "bodyMemory")
            for client in clients { #expect(client.read(body.count) == body) }
            #expect(eventually { daemon.load.bodyMemory == 0 })
            #expect(try refused.get("/x").body == body)
        }
    }

    @Test("The memory that a response reports counts until the response has been sent")
    func whatAResponseSaysThatIt() throws {
        let count = 8 << 20
        let stub = Self.serving {
            var response = OutgoingResponse.ok(.source(Pattern(byteCount: count), range: 0..<count))
            response.memory = 3 << 20
            return response
        }
        try withDaemon(stub) { daemon in
            let client = try RawClient.slowReader(port: daemon.port, "/x")
            #expect(daemon.load.bodyMemory > 3 << 20)
            #expect(client.read(count).count == count)
            #expect(eventually { daemon.load.bodyMemory == 0 })
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

    @Test(
        "An unsent body of known length is not read, and the connection stays usable",
        arguments: [
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
        ]
    )
    func anUnsentBodyOfKnownLength(_ unsent: Unsent) throws {
        let traces = Traces()
        let stub = Self.serving {
            OutgoingResponse(head: ResponseHead(status: unsent.status), body: unsent.body(traces))
        }
        try withClient(of: stub) { client, _ in
            client.send(Self.get("/x", method: unsent.method) + Self.get("/y"))
            let response = try client.readResponse(toHead: true)
            #expect(response.status == unsent.status.code)
            #expect(response["Content-Length"] == unsent.length)
            #expect(try client.readResponse().text == "/y")
        }
        #expect(traces.reads == 0)
        #expect(traces.gone == traces.made)
    }

    @Test(
        "An unsent body of unknown length leaves no stray bytes",
        arguments: [
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
        ]
    )
    func anUnsentBodyOfUnknownLength(_ unsent: Unsent) throws {
        let traces = Traces()
        let stub = Self.serving {
            OutgoingResponse(head: ResponseHead(status: unsent.status), body: unsent.body(traces))
        }
        try withClient(of: stub) { client, _ in
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

    @Test("204 has neither length nor body")
    func test204HasNeitherLengthNorBody() throws {
        let stub = Self.serving { OutgoingResponse(head: ResponseHead(status: .noContent)) }
        try withClient(of: stub) { client, _ in
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

    static func source(_ traces: Traces, _ head: ResponseHead) -> OutgoingResponse {
        OutgoingResponse(head: head, body: .source(Pattern(byteCount: 10, traces: traces), range: 0..<10))
    }

    @Test(
        "A response that cannot be sent becomes a 500",
        arguments: [
            Unsendable(name: "an empty field") {
                source($0, ResponseHead(status: .ok, fields: [.eTag: ""]))
            },
            Unsendable(name: "a length of its own") {
                source($0, ResponseHead(status: .ok, fields: [.contentLength: "10"]))
            },
            Unsendable(name: "a coding of its own") {
                source($0, ResponseHead(status: .ok, fields: [.transferEncoding: "chunked"]))
            },
            Unsendable(name: "an informational status") { source($0, ResponseHead(status: .init(code: 103))) },
            Unsendable(name: "an unsent body where one is due") { _ in .ok(.unsent(byteCount: 10)) },
        ]
    )
    func aResponseThatCannotBeSent(_ unsendable: Unsendable) throws {
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

    @Test("Line breaks in a field's value do not split the response")
    func lineBreaksInAFieldValue() throws {
        let stub = Self.serving {
            OutgoingResponse(head: ResponseHead(status: .ok, fields: [.eTag: "a\r\nX-Evil: b"]))
        }
        try withClient(of: stub) { client, _ throws in
            #expect(try client.get("/x")["X-Evil"] == nil)
        }
    }

    @Test("Repeated fields are all sent")
    func repeatedFieldsAreAllSent() throws {
        let stub = Self.serving {
            var head = ResponseHead(status: .ok)
            head.fields.append(HTTPField(name: .vary, value: "Accept"))
            head.fields.append(HTTPField(name: .vary, value: "Origin"))
            return OutgoingResponse(head: head)
        }
        try withClient(of: stub) { client, _ throws in
            #expect(try client.get("/x").fields.filter { $0.name == "Vary" }.map(\.value) == ["Accept", "Origin"])
        }
    }

    @Test("A source that breaks its promise cuts the connection")
    func aSourceThatBreaksItsPromise() throws {
        final class Broken: ByteSource {
            let byteCount = 10
            func read(at position: Int, into destination: inout MutableRawSpan) -> Int { destination.byteCount + 1 }
        }
        try withDaemon(Self.serving { .ok(.source(Broken(), range: 0..<10)) }) { daemon in
            let client = try RawClient(port: daemon.port)
            client.sendGet("/x")
            #expect(try client.readHead().status == 200)
            #expect(client.isAtEnd())
            #expect(eventually { daemon.activeExchanges == 0 })
        }
    }

    @Test("A slow reader blocks nobody, and no more than one block is generated ahead")
    func aSlowReaderBlocksNobodyAnd() throws {
        let count = 64 << 20
        let traces = Traces()
        let stub = Self.serving { .ok(.source(Pattern(byteCount: count, traces: traces), range: 0..<count)) }
        try withDaemon(stub, { $0.blockSize = 64 << 10 }) { daemon in
            let slow = try (0..<8).map { _ in try RawClient(port: daemon.port, receiveBuffer: 16 << 10) }
            for client in slow {
                client.sendGet("/x")
                #expect(try client.readHead().status == 200)
            }
            for _ in 0..<50 {
                let quick = try RawClient(port: daemon.port)
                #expect(try quick.get("/y").text == "/y")
            }
            #expect(eventually { daemon.activeExchanges == 8 })
            // Only the bytes in socket buffers have been generated.
            #expect(traces.furthest < count / 2)
            #expect(traces.largestRead <= 64 << 10)
            #expect(slow[0].read(100_000) == Pattern.bytes(0..<100_000))
            for client in slow {
                client.reset()
            }
            #expect(eventually { daemon.activeExchanges == 0 && traces.gone == 8 })
        }
    }

    @Test("An interrupted download frees its body")
    func anInterruptedDownloadFreesItsBody() throws {
        let traces = Traces()
        let stub = Self.serving { .ok(.source(Pattern(byteCount: 1 << 30, traces: traces), range: 0..<1 << 30)) }
        try withDaemon(stub) { daemon in
            for _ in 0..<10 {
                let client = try RawClient(port: daemon.port)
                client.sendGet("/x")
                #expect(client.read(100_000).count == 100_000)
                client.reset()
            }
            #expect(eventually { traces.gone == 10 && daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
    }
}
