import Foundation
import HTTPDaemon
import HTTPExchange
import HTTPTypes
import Synchronization
import TestSupport
import Testing

/// A handler that records how exchanges end.
final class Observer: RequestHandler {
    private let stub: Stub
    private let heard = Mutex<[ExchangeEnd]>([])

    init(_ routes: [String: Stub.Respond] = [:]) {
        stub = Stub(routes)
    }

    var requests: [IncomingRequest] { stub.requests }

    var ends: [ExchangeEnd] { heard.withLock { $0 } }

    func respond(to request: IncomingRequest) -> Reply { stub.respond(to: request) }

    func refuse(_ refusal: Refusal, head: RequestHead) -> OutgoingResponse {
        var response = stub.refuse(refusal, head: head)
        response.note.problem = "refused"
        return response
    }

    func ended(_ exchange: ExchangeEnd) { heard.withLock { $0.append(exchange) } }
}

@Suite struct Ends {
    static func noted(_ body: ResponseBody, _ route: String) -> Reply {
        var response = OutgoingResponse.ok(body)
        response.note = ResponseNote(route: route, id: "7")
        return .ready(response)
    }

    @Test("Each exchange is reported once, with note, status and body bytes")
    func eachExchangeIsReportedOnceWith() throws {
        let observer = Observer([
            "/bytes": { _ in Self.noted(.bytes(Pattern.bytes(0..<1000)), "bytes") },
            "/large": { _ in Self.noted(.bytes(Pattern.bytes(0..<100_000)), "large") },
            "/source": { _ in Self.noted(.source(Pattern(byteCount: 500_000), range: 7..<300_007), "source") },
            "/stream": { _ in Self.noted(.stream(Pattern(byteCount: 200_000)), "stream") },
            "/deferred": { _ in
                .deferred(DeferredWork(memory: 0) { _ in .ok(.bytes([1, 2, 3])) })
            },
        ])
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port)
            let paths = ["/bytes", "/large", "/source", "/stream", "/deferred"]
            for path in paths {
                _ = try client.get(path, "X: \(path)\r\n")
            }
            client.send(Responses.get("/bytes", method: "HEAD"))
            _ = try client.readResponse(toHead: true)
            #expect(eventually { observer.ends.count == 6 })
            let ends = observer.ends
            #expect(ends.map(\.bodyByteCount) == [1000, 100_000, 300_000, 200_000, 3, 0])
            #expect(ends.allSatisfy { $0.status == 200 && $0.isWhole && $0.peer == "127.0.0.1" })
            #expect(ends.map(\.note?.route) == ["bytes", "large", "source", "stream", "", "bytes"])
            #expect(ends.prefix(4).allSatisfy { $0.note?.id == "7" && $0.note?.problem == nil })
            #expect(ends.map(\.method) == [.get, .get, .get, .get, .get, .head])
            let name = try #require(HTTPField.Name("X"))
            #expect(ends.map { $0.fields[name] } == paths + [nil])
            #expect(ends[0].fields.count == 1)
            #expect(ends.allSatisfy { $0.nanoseconds > 0 && $0.nanoseconds < 60_000_000_000 })
            #expect(daemon.load.activeExchanges == 0 && daemon.load.openConnections == 1)
        }
        #expect(observer.ends.count == 6)
    }

    @Test("The duration ends with the last byte sent")
    func theDurationEndsWithTheLast() throws {
        let count = 16 << 20
        let observer = Observer(["/x": { _ in .pattern(count) }])
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port, receiveBuffer: 16 << 10)
            let begun = ContinuousClock.now
            client.sendGet("/x")
            let head = try client.readHead()
            #expect(observer.ends.isEmpty && daemon.load.activeExchanges == 1)
            try client.readBody(after: head) { _ in }
            #expect(eventually { observer.ends.count == 1 })
            let took = ContinuousClock.now - begun
            #expect(.nanoseconds(observer.ends[0].nanoseconds) <= took)
            #expect(observer.ends[0].bodyByteCount == count)
        }
    }

    @Test("A cut-off exchange is reported as such, with the bytes sent")
    func aCutOffExchangeIsReported() throws {
        let count = 1 << 30
        let observer = Observer(["/x": { _ in .pattern(count) }])
        try withDaemon(observer, { $0.receiveTimeout = .milliseconds(200) }) { daemon in
            let gone = try RawClient.slowReader(port: daemon.port, "/x")
            gone.reset()
            #expect(eventually { observer.ends.count == 1 })
            #expect(observer.ends[0].status == 200 && !observer.ends[0].isWhole)
            #expect((1..<count).contains(observer.ends[0].bodyByteCount))
            // The daemon refuses an incomplete head itself, without the library.
            let silent = try RawClient(port: daemon.port)
            silent.send("GET /y HTTP/1.1\r\nHo")
            #expect(try silent.readResponse().status == 408)
            #expect(silent.readToEnd().isEmpty)
            #expect(eventually { observer.ends.count == 2 })
            #expect(observer.ends[1].status == 408 && observer.ends[1].isWhole)
            // Stopping the daemon ends an exchange, too.
            let left = try RawClient(port: daemon.port, receiveBuffer: 16 << 10)
            left.sendGet("/x")
            _ = try left.readHead()
            daemon.stop()
            #expect(observer.ends.count == 3 && !observer.ends[2].isWhole)
        }
    }

    @Test("Refusals and the library's own replies are reported with their status")
    func refusalsAndTheLibraryOwnReplies() throws {
        let observer = Observer()
        try withDaemon(observer, { $0.bodyLimit = 10 }) { daemon in
            let large = try RawClient(port: daemon.port)
            large.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world")
            #expect(try large.readResponse().status == 413)
            let smuggler = try RawClient(port: daemon.port)
            smuggler.send("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n")
            #expect(try smuggler.readResponse().status == 400)
            #expect(eventually { observer.ends.count == 2 })
            #expect(observer.ends.map(\.status) == [413, 400])
            #expect(observer.ends.allSatisfy { $0.note?.problem == "refused" && $0.bodyByteCount > 0 })
            let heavy = try RawClient(port: daemon.port)
            heavy.send(Responses.get("/x", more: "X: \(String(repeating: "x", count: 100_000))\r\n"))
            #expect(try heavy.readHead().status == 431)
            #expect(eventually { observer.ends.count == 3 })
            #expect(observer.ends[2].status == 431 && observer.ends[2].note == nil)
        }
    }
}
