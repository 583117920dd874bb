import ByteSource
import ByteText
import Foundation
import HTTPExchange
import HTTPTypes
import SHA2
import Testing

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
        "A body that was made whole once has a digest from then on: of HEAD, of parts, of the next",
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
        // Who does not ask gets the same fields as ever.
        #expect(service.ask(.get, target)["Repr-Digest"] == nil)
        let tag = try #require(first["ETag"])
        let unmodified = service.ask(.get, target, Self.wanted.merging(["If-None-Match": tag]) { $1 })
        #expect(unmodified.status == 304 && unmodified["Repr-Digest"] == nil)
    }

    @Test(
        "A body that is in memory has its digest at once",
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

    @Test("Files of the catalogue have their digests in parts and for HEAD, though nothing was sent")
    func files() {
        let service = InitService()
        let path = "/random/gpt2/resolve/main/config.json"
        let expected = field(service.ask(.get, path).body)
        #expect(service.ask(.head, path, Self.wanted)["Repr-Digest"] == expected)
        let part = service.ask(.get, path, Self.wanted.merging(["Range": "bytes=0-1"]) { $1 })
        #expect(part.status == 206 && part["Repr-Digest"] == expected)
    }

    @Test("A part teaches no digest, and neither does a body that nobody wanted the digest of")
    func parts() {
        let service = InitService()
        let target = Self.targets[0]
        _ = service.ask(.get, target, Self.wanted.merging(["Range": "bytes=0-83999"]) { $1 })
        _ = service.ask(.get, target)
        #expect(service.ask(.head, target, Self.wanted)["Repr-Digest"] == nil)
    }

    @Test("A body that was left before its end teaches no digest")
    func unfinished() throws {
        let service = InitService()
        let target = Self.targets[0]
        var head = HTTPRequest(method: .get, scheme: "http", authority: "a", path: target)
        head.headerFields[try #require(HTTPField.Name("Want-Repr-Digest"))] = "sha-256=1"
        let response = service.respond(to: IncomingRequest(head: head, body: [])).finished()
        guard case .source(let source, let range) = response.body else {
            Issue.record("the body is not made while it is sent")
            return
        }
        var buffer = [UInt8](repeating: 0, count: range.count)
        // All but the last byte, the first half twice, and from the middle to the end.
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
        "Only a preference for SHA-256 is one",
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

    @Test("Digests are kept up to a number; the one used longest ago goes first")
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
