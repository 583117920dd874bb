import ByteSource
import ByteText
import Foundation
import HTTPExchange
import HTTPTypes
import SHA2
import Testing
import WeightInit

@testable import InitAPI
@testable import InitService

@Suite("Digests of representations")
struct RepresentationDigestTests {
    private static let wanted = ["Want-Repr-Digest": "sha-256=10"]

    private func field(_ body: [UInt8]) -> String {
        "sha-256=:\(Data(SHA256.hash(data: body)).base64EncodedString()):"
    }

    private static let targets = [
        "/init?method=normal&shape=300,70&seed=3&format=raw", "/init?method=normal&shape=300,70&seed=3&format=npy",
        "/init?method=trunc_normal&shape=30000&format=safetensors", "/init?method=normal&shape=300,70",
        "/init?method=orthogonal&shape=40,40&format=raw", "/random/lenet5/resolve/seed-4/model.safetensors",
        "/models/random/lenet5?format=safetensors", "/models/random/lenet5",
    ]

    @Test(
        "Once a body has been sent whole, its digest is in replies to HEAD, to ranges and to the next GET",
        arguments: targets
    )
    func streamed(_ target: String) throws {
        let service = InitService()
        #expect(service.ask(.head, target, Self.wanted)["Repr-Digest"] == nil)
        let first = service.ask(.get, target, Self.wanted)
        try #require(first.status == 200)
        #expect(first["Repr-Digest"] == nil)
        let expected = field(first.body)
        for method in [.head, .get] as [HTTPRequest.Method] {
            #expect(service.ask(method, target, Self.wanted)["Repr-Digest"] == expected)
        }
        if first["Accept-Ranges"] == "bytes" {
            let part = service.ask(.get, target, Self.wanted.merging(["Range": "bytes=5-99"]) { $1 })
            #expect(part.status == 206 && part["Repr-Digest"] == expected)
        }
        // A client that does not ask for digests gets none.
        #expect(service.ask(.get, target)["Repr-Digest"] == nil)
        let tag = try #require(first["ETag"])
        let unmodified = service.ask(.get, target, Self.wanted.merging(["If-None-Match": tag]) { $1 })
        #expect(unmodified.status == 304 && unmodified["Repr-Digest"] == nil)
    }

    @Test(
        "A body in memory has its digest in the first reply",
        arguments: [
            "/init?method=normal&shape=3,2", "/init?method=normal&shape=3,2&format=summary",
            "/explain?method=normal&shape=3,2", "/gain", "/methods", "/",
            "/openapi.yaml", "/random/gpt2/resolve/main/config.json", "/random/gpt2/resolve/main/init.json",
            "/random/llama-3-70b/resolve/main/model.safetensors.index.json", "/init?method=ones&shape=0&format=raw",
        ]
    )
    func immediate(_ target: String) {
        let answer = InitService().ask(.get, target, Self.wanted)
        #expect(answer.status == 200)
        #expect(answer["Repr-Digest"] == field(answer.body))
    }

    @Test("/explain computes the digest of a body that has not been sent yet", arguments: requests)
    func explained(_ request: String) throws {
        let service = InitService()
        let explanation = service.ask(.get, "/explain?" + request + "&digest=sha256")
        try #require(explanation.status == 200)
        let body = service.ask(.get, "/init?" + request).body
        var members = try explanation.json()
        #expect(members.removeValue(forKey: "sha256") as? String == SHA256.hash(data: body).description)
        let plain = service.ask(.get, "/explain?" + request)
        #expect(try plain.json() as NSDictionary == members as NSDictionary)
        #expect(plain["ETag"] != explanation["ETag"])
    }

    private static let requests = [
        "method=normal&shape=300,70&seed=3&format=raw", "method=normal&shape=300,70&seed=3&slice=5:9&format=npy",
        "method=trunc_normal&shape=30000&format=safetensors", "method=normal&shape=300,70&format=json",
        "method=orthogonal&shape=40,40&format=raw", "method=uniform&shape=7&format=json",
        "method=ones&shape=0&format=raw", "method=normal&shape=3,2&format=summary",
        "method=sparse&shape=50,60&sparsity=0.3&format=raw&cast=bfloat16",
    ]

    @Test("A posted model's digest is in /explain, whose canonical URL asks for it again")
    func explainedModel() throws {
        let service = InitService()
        let model = #"{"seed":3,"layer":{"type":"LSTM","input_size":40,"hidden_size":30},"format":"safetensors"}"#
        let request = String(model.dropLast())
        let explanation = service.post("/explain", request + #","digest":"sha256"}"#)
        let body = service.post("/init", model).body
        let digest = SHA256.hash(data: body).description
        #expect(try explanation.json()["sha256"] as? String == digest)
        let location = try #require(explanation["Content-Location"])
        #expect(try service.ask(.get, location).json()["sha256"] as? String == digest)
        #expect(service.ask(.get, location)["ETag"] == explanation["ETag"])
    }

    @Test(
        "The error about a digest that cannot be computed names its place",
        arguments: [
            ("method=normal&shape=3", 400, "digest", "digest: needs a format: it is the digest of a body"),
            ("method=normal&shape=3&format=raw&digest=md5", 400, "digest", "digest"),
            (
                "method=normal&shape=65,1000&format=raw", 413, "shape",
                "shape: 65000 elements are over the limit of 64000 for a digest (--max-summary-elements)"
            ),
        ]
    )
    func refused(_ request: String, _ status: Int, _ place: String, _ detail: String) throws {
        var limits = ServiceLimits()
        limits.maximumSummaryElements = 64_000
        let given = request.contains("digest=") ? request : request + "&digest=sha256"
        let answer = InitService(limits: limits).ask(.get, "/explain?" + given)
        #expect(answer.status == status)
        let fault = try answer.fault()
        #expect(fault.detail.hasPrefix(detail) && fault.parameter == place)
    }

    @Test("Computing a digest stops when nobody waits for it")
    func cancelled() throws {
        let members = RequestMembers(texts: [
            (name: "method", text: "normal"), (name: "shape", text: "4000,1000"), (name: "format", text: "raw"),
            (name: "digest", text: "sha256"),
        ])
        let context = OperationContext()
        let asking = Asking(context, AnyMediaType(), within: .unbounded)
        let answer = try #require(try ExplainQuestion(members).answer(asking))
        #expect(!Allowance.immediate.covers(answer.pendingWork))
        var looks = 0
        let body = try answer.body {
            looks += 1
            return looks > 3
        }
        #expect(body == nil && looks == 4)
        #expect(context.production.byteCount(of: try #require(InitMethod.named("normal")), .float32) < 1 << 20)
    }

    @Test("digest=sha256 has the effect of Want-Repr-Digest in /init, and is not part of the canonical request")
    func member() throws {
        let service = InitService()
        for path in ["/init?method=normal&shape=300,70&format=raw", "/models/random/lenet5?format=safetensors"] {
            let first = service.ask(.get, path + "&digest=sha256")
            #expect(first.status == 200 && first["Repr-Digest"] == nil)
            let second = service.ask(.head, path + "&digest=sha256")
            #expect(second["Repr-Digest"] == field(first.body))
            #expect(service.ask(.get, path)["ETag"] == first["ETag"])
        }
    }

    @Test("Files of the catalogue have digests in replies to ranges and HEAD from the first request on")
    func files() {
        let service = InitService()
        let path = "/random/gpt2/resolve/main/config.json"
        let expected = field(service.ask(.get, path).body)
        #expect(service.ask(.head, path, Self.wanted)["Repr-Digest"] == expected)
        let part = service.ask(.get, path, Self.wanted.merging(["Range": "bytes=0-1"]) { $1 })
        #expect(part.status == 206 && part["Repr-Digest"] == expected)
    }

    @Test("No digest is recorded for a range, or for a body whose digest nobody wanted")
    func parts() {
        let service = InitService()
        let target = Self.targets[0]
        _ = service.ask(.get, target, Self.wanted.merging(["Range": "bytes=0-83999"]) { $1 })
        _ = service.ask(.get, target)
        #expect(service.ask(.head, target, Self.wanted)["Repr-Digest"] == nil)
    }

    @Test("No digest is recorded for a body that was cut off")
    func unfinished() throws {
        let service = InitService()
        let target = Self.targets[0]
        var head = RequestHead(method: .get, target: target)
        head.fields[try #require(HTTPField.Name("Want-Repr-Digest"))] = "sha-256=1"
        let response = service.respond(to: IncomingRequest(head: head, body: [])).finished()
        guard case .source(let source, let range) = response.body else {
            Issue.record("the body is not made while it is sent")
            return
        }
        var buffer = [UInt8](repeating: 0, count: range.count)
        // The reads repeat the beginning, skip a part, return to it, and leave out the last byte.
        for (position, count) in [(0, 40_000), (0, 40_000), (42_000, 42_000), (40_000, range.count - 40_001)] {
            var done = 0
            while done < count {
                var span = buffer.mutableSpan
                var bytes = span.mutableBytes
                var room = bytes._mutatingExtracting(0..<count - done)
                done += source.read(at: position + done, into: &room)
            }
        }
        #expect(service.ask(.head, target, Self.wanted)["Repr-Digest"] == nil)
        var span = buffer.mutableSpan
        var bytes = span.mutableBytes
        var room = bytes._mutatingExtracting(0..<1)
        #expect(source.read(at: range.count - 1, into: &room) == 1)
        #expect(service.ask(.head, target, Self.wanted)["Repr-Digest"] == field(service.ask(.get, target).body))
    }

    @Test(
        "Only a positive preference for SHA-256 asks for a digest",
        arguments: [
            ("sha-256=1", true), ("sha-512=3, sha-256=10", true), ("sha-256=5,sha-512=0", true), ("sha-256=0", false),
            ("sha-256=11", false), ("sha-256=-1", false), ("sha-256", false), ("sha-512=10", false), ("", false),
            ("sha-256=1, sha-256=0", false), ("sha-256=x", false), ("SHA-256=1", false), ("md5=1,sha=2", false),
        ]
    )
    func preference(_ value: String, _ isWanted: Bool) {
        let answer = InitService().ask(.get, "/gain", ["Want-Repr-Digest": value])
        #expect(answer.status == 200)
        #expect((answer["Repr-Digest"] != nil) == isWanted)
    }

    @Test("The number of recorded digests is bounded, and the least recently used one is dropped first")
    func bound() {
        let digests = RepresentationDigests(limit: 3)
        let digest = SHA256.hash(data: [1])
        func tag(_ name: Text) -> EntityTag { EntityTag(of: Identity(of: name)) }
        for name: Text in ["a", "b", "c"] { digests.keep(digest, tag(name)) }
        #expect(digests[tag("a")] == digest)
        digests.keep(digest, tag("d"))
        #expect(digests[tag("b")] == nil)
        #expect((["a", "c", "d"] as [Text]).allSatisfy { digests[tag($0)] == digest })
        digests.keep(digest, tag("d"))
        #expect((["a", "c", "d"] as [Text]).allSatisfy { digests[tag($0)] == digest })
    }
}
