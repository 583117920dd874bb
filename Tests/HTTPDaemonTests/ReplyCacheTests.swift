import Foundation
import HTTPExchange
import HTTPTypes
import Synchronization
import TestSupport
import Testing

@testable import HTTPDaemon

@Suite struct ReplyCaches {
    /// A source of consecutive request IDs.
    final class Names: Sendable {
        private let count = Atomic(0)
        let field = HTTPField.Name("X-Name")

        func make() -> String { "n\(1_000_000 + count.add(1, ordering: .relaxed).newValue)" }

        func named(_ response: OutgoingResponse) -> OutgoingResponse {
            guard let field else { return response }
            var response = response
            response.note = ResponseNote(route: "/named", id: make())
            response.head.fields[field] = response.note.id
            response.naming = ResponseNaming(field: field) { self.make() }
            return response
        }
    }

    static func serving(_ body: @escaping @Sendable () -> ResponseBody) -> Observer {
        let names = Names()
        return Observer(["/x": { _ in .ready(names.named(.ok(body()))) }])
    }

    static let small = Pattern.bytes(0..<1000)

    @Test("A request's third reply comes from memory, with a request ID of its own")
    func aRequestThirdReplyComesFrom() throws {
        let bodies: [@Sendable () -> ResponseBody] = [
            { .bytes(Self.small) }, { .source(Pattern(byteCount: 5000), range: 0..<1000) },
        ]
        for body in bodies {
            let observer = Self.serving(body)
            try withDaemon(observer) { daemon in
                let client = try RawClient(port: daemon.port)
                var names: [String] = []
                for _ in 0..<10 {
                    let response = try client.get("/x?a=b", "X: y\r\n")
                    #expect(response.status == 200 && response.body == Self.small)
                    #expect(response["Content-Length"] == "1000" && response["Date"] != nil)
                    names.append(try #require(response["X-Name"]))
                }
                #expect(Set(names).count == 10)
                #expect(observer.requests.count == 2)
                #expect(daemon.load.repeatedRequests == 8 && daemon.load.replyCacheBytes > 1000)
                #expect(eventually { observer.ends.count == 10 })
                #expect(observer.ends.map(\.note?.id) == names)
                #expect(
                    observer.ends.allSatisfy {
                        $0.note?.route == "/named" && $0.status == 200 && $0.bodyByteCount == 1000 && $0.isWhole
                            && $0.method == .get && $0.fields.count == 1 && $0.nanoseconds > 0
                    }
                )
                #expect(daemon.load.activeExchanges == 0)
            }
        }
    }

    @Test("A different head is a different request")
    func aDifferentHeadIsADifferent() throws {
        let observer = Self.serving { .bytes(Self.small) }
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port)
            // Each head differs from the first in one thing, some only in where one part ends and the next begins.
            let heads = [
                "GET /x?a=b HTTP/1.1\r\nHost: a\r\nX: bc\r\nY: d\r\n\r\n",
                "GET /x?a&b HTTP/1.1\r\nHost: a\r\nX: bc\r\nY: d\r\n\r\n",
                "GET /x?a=c HTTP/1.1\r\nHost: a\r\nX: bc\r\nY: d\r\n\r\n",
                "GET /x?a=b HTTP/1.1\r\nHost: b\r\nX: bc\r\nY: d\r\n\r\n",
                "GET /x?a=b HTTP/1.1\r\nHost: a\r\nX: b\r\nY: d\r\n\r\n",
                "GET /x?a=b HTTP/1.1\r\nHost: a\r\nXb: c\r\nY: d\r\n\r\n",
                "GET /x?a=b HTTP/1.1\r\nHost: a\r\nx: bc\r\nY: d\r\n\r\n",
                "GET /x?a=b HTTP/1.1\r\nHost: a\r\nY: d\r\nX: bc\r\n\r\n",
                "GET /x?a=b HTTP/1.1\r\nHost: a\r\nX: bc\r\nY: d\r\nZ: \r\n\r\n",
                "PUT /x?a=b HTTP/1.1\r\nHost: a\r\nX: bc\r\nY: d\r\n\r\n",
            ]
            for (index, head) in heads.enumerated() {
                for _ in 0..<2 {
                    client.send(head)
                    #expect(try client.readResponse().body == Self.small)
                }
                #expect(observer.requests.count == 2 * (index + 1), "\(head)")
            }
        }
    }

    @Test("An ambiguous head is refused despite a cached reply")
    func anAmbiguousHeadIsRefusedDespite() throws {
        try withDaemon(Self.serving { .bytes(Self.small) }) { daemon in
            let exact = "GET /x HTTP/1.1\r\nHost: a\r\nX: b\r\nC: d\r\n\r\n"
            let client = try RawClient(port: daemon.port)
            for _ in 0..<3 {
                client.send(exact)
                #expect(try client.readResponse().status == 200)
            }
            // These heads are the same bytes in memory once the library has split them into parts.
            let others = [
                "GET /x HTTP/1.1\r\nHost: a\r\nX: b\0\0C\0 d\r\n\r\n",
                "GET /x HTTP/1.1\r\nHost: a\r\nX: b\0\0C: d\r\n\r\n",
                "GET /x HTTP/1.1\r\nHost: a\r\nX: b\nC: d\r\n\r\n",
            ]
            for other in others {
                let client = try RawClient(port: daemon.port)
                client.send(other)
                #expect(try client.readResponse().status == 400)
            }
            #expect(daemon.load.repeatedRequests == 1)
        }
    }

    @Test("Large, empty and unnamed replies, and replies to bodies, are not cached")
    func largeEmptyAndUnnamedRepliesAnd() throws {
        let names = Names()
        let observer = Observer([
            "/large": { _ in .ready(names.named(.ok(.bytes(Pattern.bytes(0..<65_537))))) },
            "/stream": { _ in .ready(names.named(.ok(.stream(Pattern(byteCount: 10))))) },
            "/empty": { _ in .ready(names.named(.ok(.empty))) },
            "/slow": { _ in .ready(names.named(.ok(.source(Pattern(byteCount: 100, piece: 7), range: 0..<100)))) },
            "/nameless": { _ in .ready(.ok(.bytes(Self.small))) },
            "/body": { _ in .ready(names.named(.ok(.bytes(Self.small)))) },
        ])
        let requests = ["/large", "/stream", "/empty", "/slow", "/nameless"].map { Responses.get($0) }
        let posted = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        let long = Responses.get("/empty", more: "X: \(String(repeating: "x", count: 1100))\r\n")
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port)
            for request in requests + [posted, long] {
                for _ in 0..<4 {
                    client.send(request)
                    #expect(try client.readResponse().status == 200)
                }
            }
            #expect(observer.requests.count == 28)
            #expect(daemon.load.repeatedRequests == 0 && daemon.load.replyCacheBytes == 0)
        }
    }

    @Test("The reply to an empty chunked body is not used for the next body")
    func anEmptyChunkedBodyDoesNot() throws {
        let observer = Self.serving { .bytes(Self.small) }
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port)
            let head = "GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            for body in ["0\r\n\r\n", "0\r\n\r\n", "0\r\n\r\n", "1\r\na\r\n0\r\n\r\n", "0\r\n\r\n"] {
                client.send(head + body)
                #expect(try client.readResponse().status == 200)
            }
        }
        #expect(observer.requests.map(\.body) == [[], [], [], Array("a".utf8), []])
    }

    @Test("A request with Expect and no body is not cached")
    func aRequestWithExpectAndNo() throws {
        let observer = Self.serving { .bytes(Self.small) }
        try withDaemon(observer) { daemon in
            for _ in 0..<4 {
                let client = try RawClient(port: daemon.port)
                client.send(Responses.get("/x", more: "Expect: 100-continue\r\n") + Responses.get("/x"))
                #expect(try client.readResponse().body == Self.small)
            }
            #expect(eventually { observer.ends.count >= 4 })
        }
    }

    @Test("The cache of replies is bounded, and 0 turns it off", arguments: [0, 64 << 10])
    func theCacheOfRepliesIsBounded(_ limit: Int) throws {
        let observer = Self.serving { .bytes(Pattern.bytes(0..<10_000)) }
        try withDaemon(observer, { $0.replyCacheSize = limit }) { daemon in
            let client = try RawClient(port: daemon.port)
            for round in 0..<200 {
                for _ in 0..<3 {
                    client.send(Responses.get("/x?\(round)"))
                    #expect(try client.readResponse().body == Pattern.bytes(0..<10_000))
                }
                #expect(daemon.load.replyCacheBytes <= limit)
            }
            #expect((daemon.load.repeatedRequests > 0) == (limit > 0))
            #expect(observer.requests.count == 600 - daemon.load.repeatedRequests)
        }
    }

    @Test("A reply counts until it has been sent, even after it has been evicted")
    func aReplyCountsUntilItHasBeenSent() throws {
        let cache = ReplyCache(limit: 64 << 10)
        let request = RequestHead(method: .get, target: "/x")
        func reply(_ key: UInt8) throws -> KeptReply {
            let response = Names().named(.ok(.bytes(Pattern.bytes(0..<20_000))))
            return try #require(KeptReply(response, to: request, key: [key], memory: cache.memory))
        }
        var beingSent = [try reply(1), try reply(2)]
        let size = cache.memory.byteCount / 2
        #expect(size > 20_000 && beingSent.allSatisfy(cache.keep))
        let third = try reply(3)
        #expect(!cache.keep(third))
        #expect(cache.memory.byteCount == 3 * size)
        beingSent.removeAll()
        #expect(cache.memory.byteCount == size)
        #expect(cache.keep(third))
    }

    @Test("During the drain every reply closes its connection, cached replies, too")
    func duringTheDrainEachReplyCloses() throws {
        let observer = Self.serving { .bytes(Self.small) }
        try withDaemon(observer) { daemon in
            let client = try RawClient(port: daemon.port)
            for _ in 0..<3 {
                #expect(try client.get("/x")["Connection"] == nil)
            }
            #expect(daemon.load.repeatedRequests == 1)
            daemon.quiesce()
            #expect(try client.get("/x")["Connection"]?.lowercased() == "close")
            #expect(client.isAtEnd())
        }
    }

    @Test("Concurrent requests get whole replies with request IDs of their own")
    func concurrentRequestsGetWholeRepliesWith() throws {
        let observer = Self.serving { .bytes(Self.small) }
        let names = Mutex<[String]>([])
        let (clients, requests) = (16, 50)
        try withDaemon(observer) { daemon in
            DispatchQueue.concurrentPerform(iterations: clients) { _ in
                do {
                    let client = try RawClient(port: daemon.port)
                    // Pipelined, so that one connection has several active replies.
                    client.send(String(repeating: Responses.get("/x"), count: requests))
                    for _ in 0..<requests {
                        let response = try client.readResponse()
                        #expect(response.body == Self.small)
                        names.withLock { $0.append(response["X-Name"] ?? "") }
                    }
                } catch {
                    Issue.record(error)
                }
            }
            #expect(eventually { observer.ends.count == clients * requests })
            #expect(observer.requests.count + daemon.load.repeatedRequests == clients * requests)
        }
        let seen = names.withLock { $0 }
        #expect(Set(seen).count == clients * requests)
        #expect(Set(observer.ends.map { $0.note?.id ?? "" }) == Set(seen))
    }

    @Test("A disconnected client does not damage the cache")
    func aDisconnectedClientDoesNotDamage() throws {
        let observer = Self.serving { .bytes(Self.small) }
        try withDaemon(observer) { daemon in
            for _ in 0..<50 {
                let gone = try RawClient(port: daemon.port, receiveBuffer: 4096)
                gone.send(String(repeating: Responses.get("/x"), count: 40))
                gone.reset()
            }
            let client = try RawClient(port: daemon.port)
            for _ in 0..<3 {
                #expect(try client.get("/x").body == Self.small)
            }
            #expect(eventually { daemon.load.activeExchanges == 0 })
        }
    }
}
