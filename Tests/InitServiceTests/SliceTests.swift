import Foundation
import HTTPTypes
import InitService
import Testing

@Suite("Slices over HTTP")
struct SliceTests {
    let service = InitService()
    private let whole = "/init?method=normal&shape=10,6&seed=3&format=raw"

    @Test(
        "A slice has the numbers of a block of the tensor, and the block's shape",
        arguments: ["raw", "npy", "safetensors", "json"]
    )
    func formats(_ format: String) throws {
        let base = "/init?method=normal&shape=10,6&seed=3&format=" + format
        let answer = service.ask(.get, base + "&slice=2:5,-4:")
        #expect(answer.status == 200)
        let tensor = service.ask(.get, whole).body
        let block = (2..<5).flatMap { row in Array(tensor[row * 24 + 8..<row * 24 + 24]) }
        switch format {
        case "raw":
            #expect(answer.body == block)
            #expect(answer["X-Tensor-Shape"] == "[3, 4]")
        case "npy":
            #expect(Array(answer.body.suffix(48)) == block)
            #expect(String(decoding: answer.body.prefix(128), as: UTF8.self).contains("'shape': (3, 4)"))
        case "safetensors":
            #expect(Array(answer.body.suffix(48)) == block)
            let header = String(decoding: answer.body.dropLast(48), as: UTF8.self)
            #expect(header.contains(#""shape":[3,4],"data_offsets":[0,48]"#))
            #expect(header.contains(#"\"slice\":\"2:5,-4:\""#))
        default:
            let document = try answer.json()
            #expect(document["shape"] as? [Int] == [3, 4])
            #expect(document["full_shape"] as? [Int] == [10, 6])
            #expect(document["slice"] as? String == "2:5,-4:")
            let all = try #require(
                service.ask(.get, "/init?method=normal&shape=10,6&seed=3").json()["data"] as? [[Double]]
            )
            #expect(document["data"] as? [[Double]] == all[2..<5].map { Array($0[2...]) })
        }
    }

    @Test("A slice has ranges and its own entity tag")
    func ranges() throws {
        let target = whole + "&slice=2:5,-4:"
        let block = service.ask(.get, target)
        #expect(block.statedLength == 48)
        let part = service.ask(.get, target, ["Range": "bytes=5-30"])
        #expect(part.status == 206)
        #expect(part["Content-Range"] == "bytes 5-30/48")
        #expect(part.body == Array(block.body[5...30]))
        #expect(service.ask(.head, target).statedLength == 48)
        let tag = try #require(block["ETag"])
        #expect(tag != service.ask(.get, whole)["ETag"])
        #expect(tag == service.ask(.get, whole + "&slice=%202%20:5,-4:")["ETag"])
        #expect(service.ask(.get, target, ["If-None-Match": tag]).status == 304)
    }

    @Test(
        "A slice of all elements has the URL and the entity tag of the whole tensor",
        arguments: ["", ":", "0:", ":,0:", ":,:"]
    )
    func all(_ slice: String) {
        #expect(service.ask(.get, whole + "&slice=" + slice)["ETag"] == service.ask(.get, whole)["ETag"])
        let post = service.post("/init", #"{"method":"zeros","shape":[2,2],"slice":"\#(slice)"}"#)
        #expect(post["Content-Location"] == "/init?method=zeros&shape=2,2&format=json")
    }

    @Test("Content-Location of a POST has the slice")
    func location() throws {
        let post = service.post("/init", #"{"slice":"0:2,1:","method":"eye","shape":[4,4],"format":"raw"}"#)
        let location = try #require(post["Content-Location"])
        #expect(location == "/init?method=eye&shape=4,4&slice=:2,1:&format=raw")
        #expect(service.ask(.get, location).body == post.body)
    }

    @Test("A model's tensors are sliced by name")
    func model() throws {
        let layers =
            #""seed":4,"layers":[{"name":"a","type":"Linear","in_features":6,"out_features":8},{"name":"b","type":"BatchNorm1d","num_features":8}]"#
        let target = "/init?request=" + encoded(#"{\#(layers),"slices":{"a.weight":"0:4,:","b.running_var":"-2:"}}"#)
        let all = try tensors(service.post("/init", "{\(layers)}"))
        let answer = service.ask(.get, target)
        let some = try tensors(answer)
        #expect(some.map(\.name) == all.map(\.name))
        #expect(some[0].data as? [[Double]] == (all[0].data as? [[Double]]).map { Array($0.prefix(4)) })
        #expect(some[1].data as? [Double] == all[1].data as? [Double])
        #expect(some[5].data as? [Double] == (all[5].data as? [Double])?.suffix(2))
        let post = service.post(
            "/init",
            #"{\#(layers),"slices":{"b.running_var":"-2:","a.weight":":4","a.bias":":"},"format":"safetensors"}"#
        )
        #expect(String(decoding: post.body, as: UTF8.self).contains(#""a.weight":{"dtype":"F32","shape":[4,6]"#))
        let location = try #require(post["Content-Location"])
        #expect(
            location.removingPercentEncoding?.contains(#""slices":{"a.weight":":4","b.running_var":"-2:"}"#) == true
        )
        #expect(service.ask(.get, location).body == post.body)
        #expect(service.ask(.get, location)["ETag"] == post["ETag"])
    }

    private func tensors(_ answer: Answer) throws -> [(name: String, data: Any)] {
        let list = try #require(try answer.json()["tensors"] as? [[String: Any]])
        return try list.map { (try #require($0["name"] as? String), try #require($0["data"])) }
    }

    @Test("The plan has the shapes of the tensor and of the slice")
    func explain() throws {
        let plan = try service.ask(.get, "/explain?method=normal&shape=1048576,1048576&slice=0:512,1024:2048").json()
        #expect(plan["shape"] as? [Int] == [512, 1024])
        #expect(plan["full_shape"] as? [Int] == [1 << 20, 1 << 20])
        #expect(plan["slice"] as? String == ":512,1024:2048")
        #expect(plan["bytes"] as? Int == 512 * 1024 * 4)
        #expect(plan["words"] as? Int == 1 << 40)
        #expect(try service.ask(.get, "/explain?method=normal&shape=2").json()["full_shape"] == nil)
        let model = try service.post(
            "/explain",
            #"{"layer":{"type":"Linear","in_features":6,"out_features":8},"slices":{"weight":":1"}}"#
        ).json()
        #expect(model["parameters"] as? Int == 56)
        #expect(model["bytes"] as? Int == (6 + 8) * 4)
    }

    @Test("A summary of a slice covers the block")
    func summary() throws {
        let summary = try service.ask(.get, "/init?method=eye&shape=4,4&slice=1:2&format=summary").json()
        #expect(summary["mean"] as? Double == 0.25)
        #expect(summary["shape"] as? [Int] == [1, 4])
    }

    @Test(
        "Errors in a slice name the fault",
        arguments: [
            ("slice=3", 400, "3:4"), ("slice=::2", 400, "step"), ("slice=a:", 400, "not an integer"),
            ("slice=:,:,1:", 422, "3 items"), ("slices=x", 400, "did you mean slice?"),
        ]
    )
    func faults(_ query: String, _ status: Int, _ detail: String) throws {
        let answer = service.ask(.get, "/init?method=normal&shape=4,4&" + query)
        #expect(answer.status == status)
        let fault = try answer.fault()
        #expect(fault.detail.contains(detail), "\(fault.detail)")
        #expect(fault.parameter == String(query.prefix { $0 != "=" }))
    }

    @Test(
        "Errors in a model's slices name the tensor",
        arguments: [
            (#"{"wieght":":1"}"#, 400, "/slices/wieght", "did you mean weight?"),
            (#"{"weight":"1"}"#, 400, "/slices/weight", "1:2"),
            (#"{"bias":":,:1"}"#, 422, "/slices/bias", "2 items"),
            (#"{"weight":[0,1]}"#, 400, "/slices/weight", "must be a string"),
            (#"["weight"]"#, 400, "/slices", "must be an object"),
        ]
    )
    func modelFaults(_ slices: String, _ status: Int, _ pointer: String, _ detail: String) throws {
        let answer = service.post(
            "/init",
            #"{"layer":{"type":"Linear","in_features":6,"out_features":8},"slices":\#(slices)}"#
        )
        #expect(answer.status == status)
        let fault = try answer.fault()
        #expect(fault.pointer == pointer)
        #expect(fault.detail.contains(detail), "\(fault.detail)")
    }

    @Test("A short reply of long work is deferred")
    func longWork() {
        // Each of 64 elements is a million words from the next.
        #expect(service.ask(.get, "/init?method=uniform&shape=1048576,1048576&slice=:64,:1").wasDeferred)
        #expect(!service.ask(.get, "/init?method=uniform&shape=1048576,1048576&slice=:64,:1&format=raw").wasDeferred)
        #expect(!service.ask(.get, "/init?method=uniform&shape=1048576,1048576&slice=:4,:1").wasDeferred)
    }
}
