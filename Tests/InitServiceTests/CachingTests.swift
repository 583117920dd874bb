import HTTPTypes
import InitService
import Testing

@Suite("Conditions, ranges and HEAD")
struct CachingTests {
    let service = InitService()
    private let target = "/init?method=normal&shape=100&seed=3&format=raw"

    private func tag(_ target: String, _ fields: [String: String] = [:]) throws -> String {
        try #require(service.ask(.get, target, fields)["ETag"])
    }

    @Test("A reply may be cached for ever")
    func fields() throws {
        let answer = service.ask(.get, target)
        #expect(answer["Cache-Control"] == "public, max-age=31536000, immutable")
        let tag = try #require(answer["ETag"])
        #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tag.utf8.count == 34)
    }

    @Test(
        "Vary names Accept if Accept can change the reply",
        arguments: [
            ("/init?method=ones&shape=2", "Accept"), ("/init?method=ones&shape=2&format=raw", nil),
            ("/init?method=ones&shape=2&format=json", nil), ("/init/a.npy?method=ones&shape=2", nil),
            ("/models/random/lenet5", "Accept"), ("/models/random/lenet5?format=safetensors", nil),
            ("/explain?method=ones&shape=2&format=raw", "Accept"), ("/gain", "Accept"), ("/docs/readme", "Accept"),
            ("/openapi.json", nil),
        ]
    )
    func vary(_ target: String, _ field: String?) {
        for method in [HTTPRequest.Method.get, .head] {
            #expect(service.ask(method, target)["Vary"] == field)
        }
        // A format that the request names is sent to every client.
        let picture = service.ask(.get, target, ["Accept": "image/png"])
        #expect((picture.status == 406) == (field != nil && target != "/docs/readme"))
    }

    @Test("All spellings of a request have the same entity tag")
    func spellings() throws {
        let expected = try tag(target)
        for spelling in [
            "/init?format=raw&seed=3&shape=[100]&method=normal_",
            "/init?method=normal&shape=100&seed=03&format=raw&mean=0&std=1.0&dtype=float32",
            "/init?method=normal&shape=100&seed=3&format=raw&std=1e0&mean=0e5",
            "/init?request=" + encoded(#"{"method":"normal","shape":[100],"seed":"3","format":"raw"}"#),
            "http://other/in%69t?method=norm%61l&shape=100&seed=3&format=raw",
        ] {
            #expect(try tag(spelling) == expected, "\(spelling)")
        }
        #expect(try tag("/init?method=normal&shape=100&seed=3", ["Accept": "application/octet-stream"]) == expected)
        #expect(
            service.post("/init", #"{"method":"normal","shape":[100],"seed":3,"format":"raw"}"#)["ETag"] == expected
        )
    }

    @Test("Different requests have different entity tags")
    func differences() throws {
        let base = "/init?method=normal&shape=100&seed=3&format="
        var tags = [try tag(target)]
        for other in [
            base + "npy", base + "json", base + "safetensors", base + "summary", base + "raw&mean=-0.0",
            base + "raw&std=2", base + "raw&dtype=float64", "/init?method=normal&shape=100&seed=4&format=raw",
            "/init?method=normal&shape=10,10&seed=3&format=raw",
            "/init?method=trunc_normal&shape=100&seed=3&format=raw",
        ] {
            let tag = try tag(other)
            #expect(!tags.contains(tag), "\(other)")
            tags.append(tag)
        }
    }

    @Test("A matching entity tag gets 304")
    func notModified() throws {
        let tag = try tag(target)
        let accented = "\"\u{301}a,b\", \(tag)"
        for list in [tag, "W/" + tag, "*", #""a,b", \#(tag)"#, #"W/"x", W/\#(tag)"#, "\(tag),", accented] {
            for method in [HTTPRequest.Method.get, .head] {
                let answer = service.ask(method, target, ["If-None-Match": list])
                #expect(answer.status == 304, "\(list)")
                #expect(answer.body.isEmpty)
                #expect(answer.statedLength == 400)
                #expect(answer["ETag"] == tag)
                #expect(answer["Cache-Control"] == "public, max-age=31536000, immutable")
                #expect(answer["Vary"] == nil)
                #expect(answer["Content-Type"] == nil)
            }
        }
        for list in [#""x""#, "", String(tag.dropFirst().dropLast()), "w/" + tag, #""a\#(tag)b""#] {
            #expect(service.ask(.get, target, ["If-None-Match": list]).status == 200, "\(list)")
        }
        // Nothing is prepared either.
        let orthogonal = "/init?method=orthogonal&shape=4,3&format=json"
        let answer = service.ask(.get, orthogonal, ["If-None-Match": "*"])
        #expect(answer.status == 304)
        #expect(!answer.wasDeferred)
        // A POST selects no representation.
        #expect(service.post("/init", #"{"method":"zeros","shape":[1]}"#, ["If-None-Match": "*"]).status == 200)
        // Errors come before conditions.
        #expect(service.ask(.get, "/init?method=normal", ["If-None-Match": "*"]).status == 400)
    }

    @Test("If-Match uses the strong comparison")
    func ifMatch() throws {
        let tag = try tag(target)
        #expect(service.ask(.get, target, ["If-Match": tag]).status == 200)
        #expect(service.ask(.get, target, ["If-Match": "*"]).status == 200)
        #expect(service.ask(.get, target, ["If-Match": "W/" + tag]).status == 412)
        #expect(service.ask(.get, target, ["If-Match": #""x""#]).status == 412)
    }

    @Test(
        "HEAD has the fields of GET and no body",
        arguments: [
            "/init?method=normal&shape=100&format=raw", "/init?method=normal&shape=100&format=npy",
            "/init?method=normal&shape=100&format=safetensors", "/init?method=normal&shape=100",
            "/init?method=normal&shape=40000", "/gain", "/fan?shape=2,3", "/methods", "/openapi.yaml", "/livez",
            "/explain?method=normal&shape=3", "/init?method=nrml&shape=1", "/nowhere",
        ]
    )
    func head(_ target: String) {
        let get = service.ask(.get, target, ["X-Request-Id": "a"])
        let head = service.ask(.head, target, ["X-Request-Id": "a"])
        #expect(head.body.isEmpty)
        #expect(head.status == get.status)
        #expect(head.fields == get.fields)
        #expect(head.statedLength == get.statedLength)
    }

    @Test("HEAD prepares nothing")
    func headOfPrepared() {
        let orthogonal = service.ask(.head, "/init?method=orthogonal&shape=4,3&format=raw")
        #expect(!orthogonal.wasDeferred)
        #expect(orthogonal.statedLength == 48)
        let summary = service.ask(.head, "/init?method=normal&shape=3&format=summary")
        #expect(!summary.wasDeferred)
        #expect(summary.statedLength == nil)
        // HEAD ignores Range.
        #expect(service.ask(.head, target, ["Range": "bytes=0-9"]).status == 200)
    }

    @Test(
        "A single range gets that part of the whole body",
        arguments: [
            ("bytes=0-0", 0..<1), ("bytes=0-399", 0..<400), ("bytes=3-17", 3..<18), ("bytes=100-", 100..<400),
            ("bytes=399-", 399..<400), ("bytes=-1", 399..<400), ("bytes=-400", 0..<400), ("bytes=-401", 0..<400),
            ("bytes=390-1000", 390..<400), ("bytes=0-99999999999999999999999", 0..<400),
            ("bytes=-99999999999999999999999", 0..<400), ("Bytes=1-2", 1..<3), ("bytes= 1-2 ", 1..<3),
        ]
    )
    func ranges(_ field: String, _ range: Range<Int>) {
        let whole = service.ask(.get, target).body
        let answer = service.ask(.get, target, ["Range": field])
        #expect(answer.status == 206)
        #expect(answer["Content-Range"] == "bytes \(range.lowerBound)-\(range.upperBound - 1)/400")
        #expect(answer.body == Array(whole[range]))
        #expect(answer.statedLength == range.count)
        #expect(answer["ETag"] != nil)
    }

    @Test(
        "Anything but a single range gets the whole body",
        arguments: [
            "bytes=0-1,3-4", "bytes=5-2", "bytes=-", "bytes=", "bytes", "bytes=a-b", "bytes=1--2", "bytes=+1-2",
            "bytes=1-2x",
            "items=0-1", "bytes=0x1-2", "0-1", "", "bytes=1",
        ]
    )
    func wholes(_ field: String) {
        let answer = service.ask(.get, target, ["Range": field])
        #expect(answer.status == 200)
        #expect(answer.body.count == 400)
        #expect(answer["Content-Range"] == nil)
    }

    @Test(
        "A range past the end gets 416 with the length",
        arguments: ["bytes=400-", "bytes=400-500", "bytes=-0", "bytes=99999999999999999999-"]
    )
    func unsatisfiable(_ field: String) throws {
        let answer = service.ask(.get, target, ["Range": field])
        #expect(answer.status == 416)
        #expect(answer["Content-Range"] == "bytes */400")
        _ = try answer.fault()
    }

    @Test("An empty body has no ranges")
    func emptyBody() {
        let empty = "/init?method=zeros&shape=0&format=raw"
        #expect(service.ask(.get, empty, ["Range": "bytes=0-"]).status == 200)
        #expect(service.ask(.get, empty).statedLength == 0)
    }

    @Test("Every range of a file has the bytes of the whole file", arguments: ["npy", "safetensors"])
    func fileRanges(_ format: String) {
        let target = "/init?method=normal&shape=7,5&seed=3&format=" + format
        let whole = service.ask(.get, target).body
        for start in stride(from: 0, to: whole.count, by: 37) {
            let end = min(start + 50, whole.count - 1)
            #expect(service.ask(.get, target, ["Range": "bytes=\(start)-\(end)"]).body == Array(whole[start...end]))
        }
    }

    @Test("Neither JSON nor a POST has ranges")
    func withoutRanges() {
        let json = service.ask(.get, "/init?method=zeros&shape=3", ["Range": "bytes=0-1"])
        #expect(json.status == 200)
        #expect(json["Accept-Ranges"] == "none")
        let post = service.post("/init", #"{"method":"zeros","shape":[3],"format":"raw"}"#, ["Range": "bytes=0-1"])
        #expect(post.status == 200)
        #expect(post.body.count == 12)
    }

    @Test("If-Range accepts only the strong tag")
    func ifRange() throws {
        let tag = try tag(target)
        func status(_ condition: String, _ range: String = "bytes=0-1") -> Int {
            service.ask(.get, target, ["Range": range, "If-Range": condition]).status
        }
        #expect(status(tag) == 206)
        #expect(status("W/" + tag) == 200)
        #expect(status(#""x""#) == 200)
        #expect(status("Sat, 21 Nov 2026 00:00:00 GMT") == 200)
        #expect(status("*") == 200)
        #expect(status(tag, "bytes=400-") == 416)
        #expect(status(#""x""#, "bytes=400-") == 200)
        #expect(service.ask(.get, target, ["Range": "bytes=0-1", "If-None-Match": tag]).status == 304)
    }

    @Test("A range of a body that has changed gets the whole new body, or 412")
    func changedBody() throws {
        let old = try tag("/init?method=normal&shape=100&seed=2&format=raw")
        let whole = service.ask(.get, target)
        for condition in [old, "W/" + old, "\(old), \(try tag(target))", "Sat, 21 Nov 2026 00:00:00 GMT", "", "x"] {
            let answer = service.ask(.get, target, ["Range": "bytes=8-15", "If-Range": condition])
            #expect(answer.status == 200 && answer.body == whole.body, "\(condition)")
            #expect(answer["Content-Range"] == nil)
        }
        let matched = service.ask(.get, target, ["Range": "bytes=8-15", "If-Match": old])
        #expect(matched.status == 412)
        #expect(matched["Content-Type"] == "application/problem+json")
    }

    @Test("A deferred reply has ranges, too")
    func deferredRange() {
        let target = "/init?method=sparse&shape=4,3&seed=1&sparsity=0.5&format=raw"
        let answer = service.ask(.get, target, ["Range": "bytes=4-11"])
        #expect(answer.wasDeferred)
        #expect(answer.status == 206)
        #expect(hex(answer.body) == "00000000e8ae213a")
    }

    @Test("Content-Location of a POST is a URL with the same reply")
    func location() throws {
        let json =
            #"{"seed":"-5","shape":[3,2],"method":"glorot_uniform_","gain":{"nonlinearity":"leaky_relu","param":0.2},"dtype":"float64"}"#
        let post = service.post("/init", json, ["Accept": "application/x-npy"])
        let location = try #require(post["Content-Location"])
        #expect(
            location == "/init?method=xavier_uniform&shape=3,2&seed=-5&dtype=float64&gain=leaky_relu:0.2&format=npy"
        )
        let get = service.ask(.get, location)
        #expect(get.body == post.body)
        #expect(get["ETag"] == post["ETag"])
        #expect(get["Content-Location"] == nil)
        let fan = service.post("/fan", #"{"shape":[6,4],"mode":"fan_in"}"#)
        #expect(fan["Content-Location"] == "/fan?shape=6,4&mode=fan_in")
    }

    @Test("Numbers survive the canonical URL", arguments: ["1e300", "5e-324", "-0.0", "0.1", "12345678.9", "1e16"])
    func canonicalNumbers(_ number: String) throws {
        let json = #"{"method":"normal","shape":[20],"mean":\#(number),"std":0,"dtype":"float64","format":"raw"}"#
        let post = service.post("/init", json)
        let location = try #require(post["Content-Location"])
        #expect(service.ask(.get, location).body == post.body, "\(location)")
    }
}
