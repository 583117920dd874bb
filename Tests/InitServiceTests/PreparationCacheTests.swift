import ByteText
import Foundation
import HTTPExchange
import HTTPTypes
import Synchronization
import Testing
import WeightInit

@testable import InitAPI
@testable import InitService

@Suite("Preparations are made once and cached")
struct PreparationCacheTests {
    private func draws(_ seed: Int64 = 0, side: Int = 8) throws -> Preparation {
        let request = TensorRequest(method: InitMethod.named("orthogonal"), shape: try Shape([side, side]))
        return try #require(try Plan(request, seed: Seed(seed)).prepare())
    }

    private func keep(_ cache: PreparationCache, _ key: Text, _ draws: Preparation) throws {
        _ = try cache.share(key, isCancelled: { false }) { _ in draws }
    }

    @Test("The least recently used preparation is evicted first, and the bytes stay within the limit")
    func order() throws {
        let bytes = try draws().byteCount
        #expect(bytes >= 256)
        let cache = PreparationCache(limit: 3 * bytes)
        for key: Text in ["a", "b", "c"] { try keep(cache, key, draws()) }
        #expect(cache.byteCount == 3 * bytes)
        #expect(cache.kept("a") != nil)
        try keep(cache, "d", draws())
        #expect(cache.kept("b") == nil)
        #expect(cache.kept("a") != nil && cache.kept("c") != nil && cache.kept("d") != nil)
        #expect(cache.byteCount == 3 * bytes)
        // A larger preparation evicts several others.
        let large = try draws(side: 13)
        #expect(large.byteCount > 2 * bytes && large.byteCount <= 3 * bytes)
        try keep(cache, "e", large)
        #expect((["a", "c", "d"] as [Text]).allSatisfy { cache.kept($0) == nil })
        #expect(cache.byteCount == large.byteCount)
        try keep(cache, "f", draws(side: 64))
        #expect(cache.kept("f") == nil && cache.kept("e") != nil)
    }

    @Test("Preparations in use are not evicted, and uncached preparations count in their replies' memory")
    func use() throws {
        let request = TensorRequest(method: InitMethod.named("orthogonal"), shape: try Shape([8, 8]))
        let plan = try Plan(request, seed: Seed(Int64(0)))
        let bytes = try draws().byteCount
        let cache = PreparationCache(limit: bytes)
        try keep(cache, "a", draws())
        var source: Any? = try plan.prepared(#require(cache.kept("a"))).makeSource()
        #expect(source != nil)
        let share = try cache.share("b", isCancelled: { false }) { _ in try? self.draws() }
        #expect(share?.uncountedBytes == bytes)
        #expect(cache.kept("a") != nil && cache.kept("b") == nil && cache.byteCount == bytes)
        source = nil
        try keep(cache, "b", draws())
        #expect(cache.kept("a") == nil && cache.kept("b") != nil && cache.byteCount == bytes)
    }

    @Test("A limit of 0 keeps nothing")
    func off() throws {
        let cache = PreparationCache(limit: 0)
        try keep(cache, "a", draws())
        #expect(cache.kept("a") == nil && cache.byteCount == 0)
    }

    @Test("Errors reach all waiting requests and are not cached")
    func errors() throws {
        let cache = PreparationCache(limit: 1 << 20)
        for _ in 0..<2 {
            #expect(throws: InitError.self) {
                try cache.share("a", isCancelled: { false }) { _ throws(InitError) in throw .refused("x", "no") }
            }
        }
        #expect(cache.madeCount == 2)
    }

    /// Runs `body` on several threads and waits for all of them.
    private func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let group = DispatchGroup()
        for index in 0..<count {
            group.enter()
            Thread.detachNewThread {
                body(index)
                group.leave()
            }
        }
        group.wait()
    }

    @Test("A waiting request gets another's preparation, stops when cancelled, and takes over from a cancelled one")
    func flight() throws {
        let cache = PreparationCache(limit: 1 << 20)
        let made = try draws()
        let started = Atomic(0)
        let firstIsGone = Atomic(false)
        let firstMayEnd = Atomic(false)
        let results = Mutex<[Int: Bool]>([:])
        concurrently(3) { index in
            switch index {
            case 0:
                // The client of this request leaves, but others wait, so the work continues.
                let share = try? cache.share("a", isCancelled: { firstIsGone.load(ordering: .relaxed) }) {
                    isCancelled in
                    started.store(1, ordering: .relaxed)
                    while !firstMayEnd.load(ordering: .relaxed) { usleep(500) }
                    return isCancelled() ? nil : made
                }
                results.withLock { $0[0] = share != nil }
            case 1:
                while started.load(ordering: .relaxed) == 0 { usleep(500) }
                let share = try? cache.share("a", isCancelled: { false }) { _ in nil }
                results.withLock { $0[1] = share?.value === made }
            default:
                while started.load(ordering: .relaxed) == 0 { usleep(500) }
                // A cancelled request stops waiting at once.
                let share = try? cache.share("a", isCancelled: { true }) { _ in made }
                results.withLock { $0[2] = share == nil }
                firstIsGone.store(true, ordering: .relaxed)
                usleep(50_000)
                firstMayEnd.store(true, ordering: .relaxed)
            }
        }
        #expect(results.withLock { $0 } == [0: true, 1: true, 2: true])
        #expect(cache.madeCount == 1)
        // Nobody waits, so the work is cancelled, and the next request makes the preparation anew.
        #expect(try cache.share("b", isCancelled: { true }, make: { $0() ? nil : made }) == nil)
        #expect(try cache.share("b", isCancelled: { false }, make: { $0() ? nil : made }) != nil)
    }

    @Test("Sixteen ranges of an orthogonal tensor need one decomposition", arguments: [0, 1 << 30])
    func ranges(_ cacheBytes: Int) throws {
        var limits = ServiceLimits()
        limits.cacheBytes = cacheBytes
        let service = InitService(limits: limits)
        let target = "/init?method=orthogonal&shape=256,256&seed=9&format=raw"
        let size = 256 * 256 * 4
        // All requests arrive before the first one is worked on.
        let replies = (0..<16).map { index -> Reply in
            var head = RequestHead(method: .get, target: target)
            head.fields[.range] = "bytes=\(index * size / 16)-\((index + 1) * size / 16 - 1)"
            return service.respond(to: IncomingRequest(head: head))
        }
        let works = replies.compactMap { if case .deferred(let work) = $0 { work } else { nil } }
        #expect(works.count == 16)
        let parts = Mutex<[Int: (Answer, Int?)]>([:])
        let gate = Atomic(0)
        concurrently(16) { index in
            gate.add(1, ordering: .relaxed)
            while gate.load(ordering: .relaxed) < 16 { usleep(100) }
            let response = works[index].run { false }.finished()
            let answer = Answer(response)
            parts.withLock { $0[index] = (answer, response.memory) }
        }
        let all = parts.withLock { parts in (0..<16).compactMap { parts[$0] } }
        #expect(all.allSatisfy { $0.0.status == 206 })
        if cacheBytes > 0 {
            #expect(service.operations.preparations.madeCount == 1)
            // The matrix counts in the cache's memory, and the plan in the reply's.
            #expect(all.allSatisfy { $0.1 == 1024 })
            // Other formats and slices use the cached matrix at once.
            for other in ["", "&slice=3:9,:7", "&format=npy"] {
                let answer = service.ask(.get, target.replacing("&format=raw", with: other))
                #expect(answer.status == 200)
                #expect(!answer.wasDeferred)
            }
            #expect(service.operations.preparations.madeCount == 1)
        } else {
            #expect(all.allSatisfy { $0.1 ?? 0 >= size })
        }
        let whole = service.ask(.get, target).body
        #expect(all.flatMap(\.0.body) == whole)
        #expect(service.ask(.get, target.replacing("seed=9", with: "seed=8")).wasDeferred)
    }

    @Test("A model's counted words are cached for its slices and formats")
    func model() throws {
        let service = InitService()
        let tensors =
            #""tensors":[{"method":"trunc_normal","shape":[100]},{"name":"x","method":"normal","shape":[50,20]}]"#
        let first = service.post("/init", #"{\#(tensors),"format":"safetensors"}"#)
        #expect(first.wasDeferred)
        let second = service.post("/init", #"{\#(tensors),"slices":{"x":"7:8"},"format":"safetensors"}"#)
        #expect(!second.wasDeferred)
        #expect(service.operations.preparations.madeCount == 1)
        #expect(
            Array(second.body.suffix(80))
                == Array(first.body.suffix(4000)[first.body.count - 4000 + 7 * 80..<first.body.count - 4000 + 8 * 80])
        )
        #expect(service.operations.preparations.byteCount > 0 && service.operations.preparations.byteCount < 1000)
    }

    @Test("Counting stops when no request waits for it, and endless counting is refused")
    func counting() throws {
        let tensors: (Int) -> String = { count in
            #"{"tensors":[{"method":"trunc_normal","shape":[\#(count)]},{"name":"x","method":"normal","shape":[20]}],"slices":{"0":":1"}}"#
        }
        let service = InitService()
        var head = RequestHead(method: .post, target: "/init")
        head.fields[.contentType] = "application/json"
        let reply = service.respond(to: IncomingRequest(head: head, body: Array(tensors(1 << 32).utf8)))
        guard case .deferred(let work) = reply else {
            Issue.record("not deferred")
            return
        }
        // 2^32 elements would take minutes.
        let asked = Atomic(0)
        _ = work.run { asked.add(1, ordering: .relaxed).newValue > 2 }
        #expect(asked.load(ordering: .relaxed) < 10)
        let refused = service.post("/init", tensors(1 << 41))
        #expect(refused.status == 413)
        #expect(try refused.fault().detail.contains("--max-counted-elements"))
    }
}
