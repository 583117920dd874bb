import SHA2
import Foundation
import GoldenVectors
import HTTPTypes
import InitAPI
import InitService
import Testing

@Suite("A tensor comes in every format")
struct FormatTests {
    let service = InitService()

    /// `torch.manual_seed(7); torch.nn.init.kaiming_uniform_(torch.empty(4, 6), a=math.sqrt(5))`
    private let kaiming = "/init?method=kaiming_uniform&shape=4,6&seed=7&a=2.23606797749979"
    private let kaimingBytes =
        "7a96e93c12d47bbe9f1d053ebf2c033ea26f5fbe569f7abd37e774be76f1d83d6137e1bdafd8923ef661943ea0582a3d"
        + "e93832be4e8b75be87a337bdc84cebbd2842383eea7bb2beb972c43ea0f6a3be800fa03ef83091bdd209573e1ae9223e"

    @Test("Raw bytes are PyTorch's, with shape and dtype beside them")
    func raw() {
        let answer = service.ask(.get, kaiming + "&format=raw")
        #expect(answer.status == 200)
        #expect(hex(answer.body) == kaimingBytes)
        #expect(answer["Content-Type"] == "application/octet-stream")
        #expect(answer["X-Tensor-Shape"] == "[4, 6]")
        #expect(answer["X-Tensor-Dtype"] == "float32")
        #expect(answer["Accept-Ranges"] == "bytes")
        #expect(answer.statedLength == 96)
        // Another tensor in bfloat16, a type that NumPy lacks.
        let half = service.ask(.get, "/init?method=normal_&shape=3&seed=42&dtype=bfloat16&format=raw")
        #expect(hex(half.body) == "ac3e043e703e")
        #expect(half["X-Tensor-Dtype"] == "bfloat16")
    }

    @Test("npy is the file that numpy.save writes")
    func npy() {
        let answer = service.ask(.get, kaiming + "&format=npy")
        #expect(answer["Content-Type"] == "application/x-npy")
        #expect(answer["X-Tensor-Shape"] == nil)
        #expect(answer.body.count == 224)
        #expect(
            SHA256.hash(data: answer.body).description
                == "bffde7492a0b6b37ef4640c342a4dcc627003a9d6154957b85e21376b5775148"
        )
    }

    @Test("safetensors holds the profile, the seed and the canonical request")
    func safetensors() throws {
        let answer = service.ask(.get, kaiming + "&format=safetensors")
        #expect(answer["Content-Type"] == "application/x-safetensors")
        let length = answer.body[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try #require(
            try JSONSerialization.jsonObject(with: Data(answer.body[8..<8 + length])) as? [String: [String: Any]]
        )
        let tensor = try #require(header["tensor"])
        #expect(tensor["dtype"] as? String == "F32")
        #expect(tensor["shape"] as? [Int] == [4, 6])
        #expect(tensor["data_offsets"] as? [Int] == [0, 96])
        #expect(hex(answer.body[(8 + length)...]) == kaimingBytes)
        let metadata = try #require(header["__metadata__"] as? [String: String])
        #expect(metadata["profile"] == "torch-2.13")
        #expect(metadata["seed"] == "7")
        // The request in the metadata makes the same file.
        let request = try #require(metadata["request"])
        let again = service.post("/init", request, ["Accept": "application/x-safetensors"])
        #expect(again.body == answer.body)
    }

    @Test("JSON has the members of the request, then the numbers, nested as the shape says")
    func json() throws {
        let answer = service.ask(.get, "/init?method=uniform&shape=2,3&seed=-1")
        #expect(answer["Content-Type"] == "application/json")
        #expect(answer["Accept-Ranges"] == "none")
        #expect(answer.statedLength == answer.body.count)
        // torch.manual_seed(-1); torch.nn.init.uniform_(torch.empty(2, 3)), each float32 in its shortest digits.
        #expect(
            answer.text
                == #"{"shape":[2,3],"dtype":"float32","seed":-1,"effective_seed":4294967295,"method":"uniform","a":0.0,"#
                + #""b":1.0,"data":[[0.9937994,0.57130635,0.57000804],[0.049503744,0.99303746,0.73825455]]}"#
        )
    }

    @Test("JSON names the parameters that the method used")
    func parametersInForce() throws {
        let plain = try service.ask(.get, "/init?method=he_normal_&shape=0,2").json()
        #expect(plain["method"] as? String == "kaiming_normal")
        #expect(plain["mode"] as? String == "fan_in")
        #expect(plain["a"] as? Double == 0)
        #expect(plain["nonlinearity"] as? String == "leaky_relu")
        #expect(plain["gain"] == nil)
        let scaled = try service.ask(.get, "/init?method=he_normal_&shape=2,2&mode=FAN_OUT&gain=leaky_relu:0.2").json()
        #expect(scaled["mode"] as? String == "fan_out")
        #expect(scaled["a"] == nil)
        #expect(scaled["nonlinearity"] == nil)
        #expect((scaled["gain"] as? [String: Any])?["nonlinearity"] as? String == "leaky_relu")
        #expect((scaled["gain"] as? [String: Any])?["param"] as? Double == 0.2)
    }

    @Test(
        "A scalar and empty tensors have the nested lists that NumPy would give",
        arguments: [
            ("shape=", "1.0"), ("shape=[]", "1.0"), ("shape=0", "[]"), ("shape=2,0", "[[],[]]"), ("shape=0,2", "[]"),
            ("shape=[1,%201]", "[[1.0]]"),
        ]
    )
    func shapes(_ shape: String, _ data: String) {
        let answer = service.ask(.get, "/init?method=ones&" + shape)
        #expect(answer.status == 200)
        #expect(answer.text.hasSuffix(#","data":\#(data)}"#), "\(answer.text)")
        let raw = service.ask(.get, "/init?method=ones&format=raw&" + shape)
        #expect(raw.body.count == data.count { $0 == "1" } * 4)
        #expect(raw.statedLength == raw.body.count)
    }

    @Test("JSON up to 64 KiB states its length, longer JSON is a stream of the same form")
    func longJSON() throws {
        let short = service.ask(.get, "/init?method=zeros&shape=10000")
        #expect(short.statedLength == short.body.count)
        let long = service.ask(.get, "/init?method=zeros&shape=20000")
        #expect(long.statedLength == nil)
        #expect((try long.json()["data"] as? [Double])?.count == 20000)
        let longer = service.ask(.get, "/init?method=zeros&shape=40000")
        #expect(longer.statedLength == nil)
        #expect((try longer.json()["data"] as? [Double])?.count == 40000)
        // Empty rows count towards the length.
        let rows = service.ask(.get, "/init?method=zeros&shape=30000,0")
        #expect(rows.statedLength == nil)
        #expect((try rows.json()["data"] as? [[Double]])?.count == 30000)
    }

    @Test("Non-finite numbers are strings on the way in and out")
    func nonFinite() throws {
        for (text, value) in [("inf", Double.infinity), ("-inf", -.infinity), ("nan", .nan)] {
            let answer = service.post(
                "/init",
                #"{"method":"constant","shape":[1],"value":"\#(text)","dtype":"float64"}"#
            )
            #expect(answer.text.contains(#""value":"\#(text)","data":["\#(text)"]"#), "\(answer.text)")
            let raw = service.ask(.get, "/init?method=constant&shape=1&dtype=float64&format=raw&value=" + text)
            let bits = raw.body.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            #expect(Double(bitPattern: bits).isNaN == value.isNaN)
            #expect(value.isNaN || Double(bitPattern: bits) == value)
        }
    }

    @Test("A summary has measured and expected statistics")
    func summary() throws {
        let query = "method=he_uniform&shape=64,64&seed=5"
        let answer = service.ask(.get, "/init?format=summary&" + query)
        #expect(answer["Content-Type"] == "application/json")
        #expect(answer.statedLength == answer.body.count)
        let summary = try answer.json()
        let raw = service.ask(.get, "/init?format=raw&" + query).body
        #expect(summary["sha256"] as? String == SHA256.hash(data: raw).description)
        #expect(summary["shape"] as? [Int] == [64, 64])
        #expect(summary["method"] as? String == "kaiming_uniform")
        #expect((summary["parameters"] as? [String: Any])?["mode"] as? String == "fan_in")
        let bound = try #require((summary["expected"] as? [String: Any])?["bound"] as? Double)
        let histogram = try #require(summary["histogram"] as? [String: Any])
        #expect((histogram["edges"] as? [Double])?.first == -bound)
        #expect((histogram["edges"] as? [Double])?.last == bound)
        #expect((histogram["counts"] as? [Int])?.reduce(0, +) == 4096)
        let constant = try service.ask(.get, "/init?format=summary&method=constant&shape=3&value=nan").json()
        #expect(constant["nonfinite"] as? Int == 3)
        #expect(constant["mean"] is NSNull)
        #expect(service.ask(.get, "/init?format=summary&method=normal&shape=3&std=0").status == 200)
        #expect(service.ask(.get, "/init?format=summary&method=normal&shape=3&mean=inf").status == 200)
    }

    @Test(
        "The bounds of a uniform determine the expected mean and deviation, and the range of the histogram",
        arguments: [
            // (a + b) / 2, (b - a) / math.sqrt(12)
            ("a=-1&b=3", 1.0, 1.1547005383792517, [-1.0, 3.0]), ("a=2&b=2", 2, 0, [1.5, 2.5]),
            ("dtype=float64&a=1e308&b=1.5e308", 1.25e308, 1.4433756729740646e307, [1e308, 1.5e308]),
        ]
    )
    func uniformSummary(_ query: String, _ mean: Double, _ std: Double, _ ends: [Double]) throws {
        let summary = try service.ask(.get, "/init?format=summary&method=uniform&shape=100&\(query)").json()
        let expected = try #require(summary["expected"] as? [String: Double])
        #expect(expected == ["mean": mean, "std": std])
        let edges = try #require((summary["histogram"] as? [String: Any])?["edges"] as? [Double])
        #expect([edges.first, edges.last] == ends)
        let plan = try service.ask(.get, "/explain?method=uniform&shape=100&\(query)").json()
        #expect(plan["mean"] as? Double == mean && plan["std"] as? Double == std && plan["bound"] == nil)
    }

    @Test("The error about work that needs too much memory names the limit")
    func workLimit() throws {
        var limits = ServiceLimits()
        limits.maximumWorkBytes = 100_000
        let service = InitService(limits: limits)
        let answer = service.ask(.get, "/init?method=orthogonal&shape=64,64")
        #expect(answer.status == 413)
        #expect(try answer.fault().detail.contains("--max-work-bytes"))
        #expect(service.ask(.get, "/init?method=orthogonal&shape=4,4").status == 200)
    }

    @Test("The plan of a tensor says if PyTorch's own bits differ between processors")
    func inexact() throws {
        #expect(try service.ask(.get, "/explain?method=orthogonal&shape=4,3").json()["exact"] as? Bool == false)
        #expect(try service.ask(.get, "/explain?method=normal&shape=4,3").json()["exact"] == nil)
    }

    @Test("Only requests with preparation are deferred")
    func deferral() {
        let sparse = service.ask(.get, "/init?method=sparse&shape=4,3&seed=1&sparsity=0.5&format=raw")
        #expect(sparse.wasDeferred)
        #expect(
            hex(sparse.body)
                == "3eb6d83b00000000e8ae213a000000009f1494bb0ec0d9ba8a7d79bcef237a3b00000000000000000000000000000000"
        )
        for (seed, format) in ["raw", "npy", "safetensors", "json", "summary"].enumerated() {
            let orthogonal = service.ask(.get, "/init?method=orthogonal&shape=4,3&seed=\(seed)&format=" + format)
            #expect(orthogonal.status == 200)
            #expect(orthogonal.wasDeferred)
        }
        #expect(!service.ask(.get, "/init?method=normal&shape=1000,1000&format=raw").wasDeferred)
        #expect(!service.ask(.get, "/explain?method=orthogonal&shape=4,3").wasDeferred)
        #expect(service.ask(.get, "/init?method=normal&shape=3&format=summary").wasDeferred)
    }

    @Test("Replies have PyTorch's bytes", arguments: GoldenCase.visible.filter(\.isSmallInit))
    func golden(_ golden: GoldenCase) throws {
        let answer = service.post("/init", try golden.json(), ["Accept": "application/octet-stream"])
        #expect(answer.status == 200, "\(answer.text)")
        #expect(SHA256.hash(data: answer.body).description == golden.sha256)
    }

    @Test("Requests that PyTorch refuses get 400 or 422", arguments: GoldenCase.visible.filter { $0.kind == .error })
    func goldenErrors(_ golden: GoldenCase) throws {
        let answer = service.post("/init", try golden.json(), ["Accept": "application/octet-stream"])
        let isUnknownWord =
            golden.errorMessage?.lowercased().contains("supported, please use") == true
            || golden.errorMessage?.contains("Unsupported") == true
        #expect(answer.status == (isUnknownWord ? 400 : 422), "\(answer.text)")
        #expect(try answer.fault().pointer != nil)
    }
}

extension GoldenCase {
    var isSmallInit: Bool {
        kind == .`init` && compare == .bits && (shape ?? []).reduce(1, *) <= 4096
    }

    /// The call as a request to the service, in JSON.
    func json() throws -> String {
        var members: [String: Any] = [
            "method": try #require(method), "shape": try #require(shape), "dtype": try #require(dtype), "seed": seed,
        ]
        for (name, value) in params ?? [:] {
            switch value {
            case .integer(let integer): members[name] = integer
            case .number(let number): members[name] = number
            case .text(let text): members[name] = text
            }
        }
        let data = try JSONSerialization.data(withJSONObject: members)
        return String(decoding: data, as: UTF8.self)
    }
}
