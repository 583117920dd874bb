import ByteText
import Foundation
import HTTPTypes
import Synchronization
import Testing
import WeightInit

@testable import InitAPI
@testable import InitService

@Suite("Models of the catalogue are decoded and planned once")
struct ModelCacheTests {
    // MARK: The cache

    @Test("The value used longest ago is evicted first, and the bytes stay within the limit")
    func order() throws {
        let cache = ModelCache(limit: 30)
        func make(_ key: Text, byteCount: Int = 10) throws -> Text {
            try cache.value(key, byteCount: { _ in byteCount }) { _ in key }
        }
        for key: Text in ["a", "b", "c"] { #expect(try make(key) == key) }
        #expect(cache.byteCount == 30 && cache.madeCount == 3)
        #expect(cache.kept("a") == ("a" as Text))
        _ = try make("d")
        #expect(cache.kept("b", of: Text.self) == nil && cache.byteCount == 30)
        #expect((["a", "c", "d"] as [Text]).allSatisfy { cache.kept($0) == $0 })
        // A larger value evicts two others.
        _ = try make("e", byteCount: 20)
        #expect((["a", "c"] as [Text]).allSatisfy { cache.kept($0, of: Text.self) == nil })
        #expect(cache.kept("d") == ("d" as Text) && cache.byteCount == 30)
        // A value larger than the limit is made and not kept.
        #expect(try make("f", byteCount: 31) == "f")
        #expect(cache.kept("f", of: Text.self) == nil && cache.byteCount == 30 && cache.madeCount == 6)
        #expect(try make("d") == "d")
        #expect(cache.madeCount == 6)
    }

    @Test("A limit of 0 keeps nothing")
    func off() throws {
        let cache = ModelCache(limit: 0)
        for _ in 0..<2 { #expect(try cache.value("a", byteCount: { _ in 1 }) { _ in 5 } == 5) }
        #expect(cache.madeCount == 2 && cache.byteCount == 0)
    }

    @Test("A value of an optional type is made, too")
    func optional() throws {
        let cache = ModelCache(limit: 10)
        #expect(try cache.value("a", byteCount: { (_: Int?) in 1 }) { _ in 5 } == 5)
        #expect(try cache.value("a", byteCount: { (_: Int?) in 1 }) { _ in 6 } == 5)
    }

    @Test("Errors are not cached, and the next request tries again")
    func errors() throws {
        let cache = ModelCache(limit: 10)
        #expect(throws: InitError.self) {
            try cache.value("a", byteCount: { (_: Int) in 1 }) { _ throws(InitError) in throw .refused("x", "no") }
        }
        #expect(cache.kept("a", of: Int.self) == nil)
        #expect(try cache.value("a", byteCount: { _ in 1 }) { _ in 5 } == 5)
        #expect(cache.byteCount == 1)
    }

    @Test("Simultaneous requests for a value wait for the one that makes it, and kept() does not wait")
    func flight() {
        let cache = ModelCache(limit: 10)
        let results = Mutex<[Int]>([])
        let mayEnd = Atomic(false)
        let begun = Atomic(0)
        let group = DispatchGroup()
        for index in 0..<4 {
            group.enter()
            Thread.detachNewThread {
                let value = try? cache.value("a", byteCount: { (_: Int) in 1 }) { _ in
                    begun.wrappingAdd(1, ordering: .relaxed)
                    while !mayEnd.load(ordering: .relaxed) { usleep(500) }
                    return index
                }
                results.withLock { $0.append(value ?? -1) }
                group.leave()
            }
        }
        while begun.load(ordering: .relaxed) == 0 { usleep(500) }
        #expect(cache.kept("a", of: Int.self) == nil)
        mayEnd.store(true, ordering: .relaxed)
        group.wait()
        let values = results.withLock { $0 }
        #expect(values.count == 4 && Set(values).count == 1 && !values.contains(-1))
        #expect(begun.load(ordering: .relaxed) == 1 && cache.madeCount == 1)
    }

    @Test("A request stops waiting for a value when its client has left, and making the value stops when nobody waits")
    func cancelled() throws {
        let cache = ModelCache(limit: 10)
        let begun = Atomic(false)
        let isGone = Atomic(false)
        let looks = Atomic(0)
        let group = DispatchGroup()
        group.enter()
        Thread.detachNewThread {
            #expect(throws: InitError.cancelled) {
                try cache.value("a", byteCount: { (_: Int) in 1 }, isCancelled: { isGone.load(ordering: .relaxed) }) {
                    isCancelled throws(InitError) in
                    begun.store(true, ordering: .relaxed)
                    while !isCancelled() { usleep(500) }
                    looks.add(1, ordering: .relaxed)
                    throw .cancelled
                }
            }
            group.leave()
        }
        while !begun.load(ordering: .relaxed) { usleep(500) }
        // The cancelled request stops waiting at once, and the one that makes the value continues.
        #expect(throws: InitError.cancelled) {
            try cache.value("a", byteCount: { _ in 1 }, isCancelled: { true }) { _ in 5 }
        }
        #expect(looks.load(ordering: .relaxed) == 0)
        isGone.store(true, ordering: .relaxed)
        group.wait()
        #expect(try cache.value("a", byteCount: { _ in 1 }) { _ in 6 } == 6)
    }

    @Test("Planning a model of the catalogue ends when nobody waits for it")
    func planning() throws {
        let service = InitService()
        let model = try service.operations.models.require("random/llama-3-70b")
        let members = RequestMembers(texts: [(name: "format", text: "safetensors")])
        let looks = Atomic(0)
        let isCancelled = { @Sendable in looks.add(1, ordering: .relaxed).newValue > 5 }
        let asking = Asking(service.operations, AnyMediaType(), within: Allowance.unbounded.until(isCancelled))
        #expect(throws: InitError.cancelled) {
            try ModelQuestion(model, members).answer(asking)
        }
        #expect(
            service.operations.modelCache.kept(Identity(of: "plan", model.digest, "{}").digest, of: PlannedModel.self)
                == nil
        )
        #expect(
            try ModelQuestion(model, members).answer(
                Asking(service.operations, AnyMediaType(), within: .unbounded)
            ) != nil
        )
    }

    @Test("A value that is being made when the cache is emptied is not kept")
    func forgotten() throws {
        let cache = ModelCache(limit: 10)
        let value = try cache.value("a", byteCount: { _ in 1 }) { _ throws(InitError) in
            cache.removeAll()
            return 5
        }
        #expect(value == 5)
        #expect(cache.kept("a", of: Int.self) == nil && cache.byteCount == 0)
    }

    // MARK: The service

    private static let large = "/random/llama-3-70b/resolve/"

    /// Names of the files of weights, from the index.
    private func shards(_ service: InitService, _ revision: String) throws -> [String] {
        let index = service.ask(.get, Self.large + revision + "/model.safetensors.index.json")
        let map = try #require(try index.json()["weight_map"] as? [String: String])
        return Set(map.values).sorted()
    }

    @Test(
        "All files of a revision share one decoded request, one plan and one layout, and each revision has its own plan"
    )
    func once() throws {
        let service = InitService()
        let cache = service.operations.modelCache
        let shards = try shards(service, "seed-1")
        #expect(shards.count == 30)
        // The decoded request, and the files with their plan.
        #expect(cache.madeCount == 2)
        for shard in shards {
            let head = service.ask(.head, Self.large + "seed-1/" + shard)
            #expect(head.status == 200 && !head.wasDeferred)
            let part = service.ask(.get, Self.large + "seed-1/" + shard, ["Range": "bytes=0-7"])
            #expect(part.status == 206 && part.body.count == 8 && !part.wasDeferred)
        }
        #expect(!service.ask(.get, "/api/models/random/llama-3-70b/tree/seed-1").wasDeferred)
        #expect(cache.madeCount == 2)
        #expect(try self.shards(service, "seed-2") == shards)
        #expect(cache.madeCount == 3)
    }

    @Test("A model with large literals is planned once for each seed, and two seeds fit the cache")
    func literals() throws {
        let service = InitService()
        let cache = service.operations.modelCache
        func ask(_ seed: Int) -> Answer {
            service.ask(.get, "/random/whisper-tiny/resolve/seed-\(seed)/model.safetensors", ["Range": "bytes=0-7"])
        }
        let first = ask(1)
        #expect(first.status == 206 && first.wasDeferred && cache.madeCount == 2)
        #expect(ask(2).status == 206 && cache.madeCount == 3)
        for seed in [1, 2] {
            let again = ask(seed)
            #expect(again.status == 206 && !again.wasDeferred)
        }
        #expect(cache.madeCount == 3)
        let path = "/models/random/whisper-tiny?format=safetensors&seed=3"
        for _ in 0..<2 { #expect(service.ask(.head, path).status == 200) }
        #expect(cache.madeCount == 4)
        #expect(cache.byteCount <= ServiceLimits().modelCacheBytes)
    }

    @Test("Simultaneous requests for shards of a model plan it once")
    func simultaneous() throws {
        let service = InitService()
        let group = DispatchGroup()
        for shard in 1...4 {
            group.enter()
            Thread.detachNewThread {
                let path = Self.large + "seed-3/model-0000\(shard)-of-99999.safetensors"
                #expect(service.ask(.head, path).status == 404)
                group.leave()
            }
        }
        group.wait()
        #expect(service.operations.modelCache.madeCount == 2)
    }

    @Test("Cached plans stay within their limit, and all are dropped when the catalogue is read again")
    func limit() throws {
        var limits = ServiceLimits()
        limits.modelCacheBytes = 8 << 20
        let models = ModelCatalogue()
        let service = InitService(limits: limits, models: models)
        let cache = service.operations.modelCache
        for seed in 0..<6 {
            let path = Self.large + "seed-\(seed)/model.safetensors.index.json"
            #expect(service.ask(.head, path).status == 200)
            #expect(cache.byteCount > 0 && cache.byteCount <= 8 << 20)
        }
        models.replace(by: [])
        #expect(cache.byteCount == 0)
    }

    @Test("A service that caches no plans gives the same answers")
    func uncached() throws {
        var limits = ServiceLimits()
        limits.modelCacheBytes = 0
        let (service, other) = (InitService(limits: limits), InitService())
        for _ in 0..<2 {
            for path in ["/random/lenet5/resolve/seed-1/model.safetensors", "/models/random/lenet5?format=safetensors"]
            {
                let (answer, expected) = (service.ask(.get, path), other.ask(.get, path))
                #expect(answer.status == 200 && answer.body == expected.body && answer["ETag"] == expected["ETag"])
            }
        }
        #expect(service.operations.modelCache.byteCount == 0)
    }

    @Test("Metrics have the memory of cached plans and the number of plans made")
    func metrics() throws {
        let service = InitService()
        _ = service.ask(.head, "/random/lenet5/resolve/seed-1/model.safetensors")
        let text = service.ask(.get, "/metrics").text
        #expect(text.contains("\nweight_init_model_plans_total 2\n"))
        #expect(text.contains("\nweight_init_model_cache_bytes \(service.operations.modelCache.byteCount)\n"))
    }
}
