import Foundation
import HTTPTypes
import InitService
import SHA2
import Testing

@Suite("A tensor is cast as PyTorch casts it")
struct CastTests {
    private let service = InitService()
    private static let request = "method=normal&shape=5,8&seed=7"

    /// Digests of `torch.nn.init.normal_(torch.empty(5, 8, dtype=dtype)).to(cast)` after `torch.manual_seed(7)`.
    private static let digests = [
        ("float32", "float64", "588b3f6cea3bd228"), ("float32", "float16", "28febc7f76423de4"),
        ("float32", "bfloat16", "29637dc966efab01"), ("float64", "float32", "46c051db5cf7f507"),
        ("float64", "float16", "efe9b0e7b3ea25a3"), ("float64", "bfloat16", "a87499ee0dc81e78"),
        ("float16", "float32", "38c4b9b39b3bdf26"), ("float16", "float64", "02b78c163045243c"),
        ("float16", "bfloat16", "3ea11713a691de81"), ("bfloat16", "float32", "3a7537e2fb446b30"),
        ("bfloat16", "float64", "84d857eb50100954"), ("bfloat16", "float16", "c64ab23697d45c0f"),
    ]

    @Test("Every dtype has PyTorch's bits in every other one, whole and in ranges", arguments: digests)
    func vectors(_ dtype: String, _ cast: String, _ digest: String) throws {
        let target = "/init?\(Self.request)&dtype=\(dtype)&cast=\(cast)&format=raw"
        let answer = service.ask(.get, target)
        #expect(answer.status == 200)
        #expect(SHA256.hash(data: answer.body).description.hasPrefix(digest))
        #expect(answer["X-Tensor-Dtype"] == cast)
        let part = service.ask(.get, target, ["Range": "bytes=7-30"])
        #expect(part.status == 206 && part.body == Array(answer.body[7...30]))
        let block = service.ask(.get, target + "&slice=1:3")
        #expect(block.body == Array(answer.body[answer.body.count / 5..<answer.body.count / 5 * 3]))
    }

    @Test("Every format has the cast elements and names their type")
    func formats() throws {
        let cast = "/init?\(Self.request)&cast=bfloat16"
        let raw = service.ask(.get, cast + "&format=raw").body
        let json = try service.ask(.get, cast).json()
        #expect(json["dtype"] as? String == "bfloat16" && json["drawn_dtype"] as? String == "float32")
        let numbers = try #require(json["data"] as? [[Double]]).flatMap { $0 }
        // The shortest digits of a bfloat16 denote a number near it, which is rounded here.
        let bits = numbers.map { UInt16(truncatingIfNeeded: (Float($0).bitPattern + 0x8000) >> 16) }
        #expect(bits == stride(from: 0, to: raw.count, by: 2).map { UInt16(raw[$0]) | UInt16(raw[$0 + 1]) << 8 })
        let file = try SafetensorsFile(service.ask(.get, cast + "&format=safetensors").body)
        #expect(file.tensors["tensor"]?.dtype == "BF16" && file.tensors["tensor"]?.bytes.elementsEqual(raw) == true)
        let summary = try service.ask(.get, cast + "&format=summary").json()
        #expect(summary["dtype"] as? String == "bfloat16")
        #expect(summary["sha256"] as? String == SHA256.hash(data: raw).description)
        let npy = service.ask(.get, "/init?\(Self.request)&dtype=bfloat16&cast=float16&format=npy")
        #expect(npy.status == 200 && String(decoding: npy.body.prefix(60), as: UTF8.self).contains("'<f2'"))
        let refused = service.ask(.get, cast + "&format=npy")
        #expect(refused.status == 406)
        #expect(try refused.fault().detail.contains("bfloat16"))
    }

    @Test("The canonical request has the cast, unless it changes nothing")
    func canonical() throws {
        let plan = try service.ask(.get, "/explain?cast=float16&\(Self.request)").json()
        #expect(plan["url"] as? String == "/init?method=normal&shape=5,8&seed=7&cast=float16")
        #expect(plan["dtype"] as? String == "float16" && plan["drawn_dtype"] as? String == "float32")
        #expect(plan["bytes"] as? Int == 80)
        let same = try service.ask(.get, "/explain?cast=float32&\(Self.request)").json()
        #expect(same["url"] as? String == "/init?method=normal&shape=5,8&seed=7")
        #expect(same["drawn_dtype"] == nil)
        let posted = service.post("/init", #"{"method":"normal","shape":[5,8],"seed":7,"cast":"float16"}"#)
        #expect(posted.body == service.ask(.get, "/init?\(Self.request)&cast=float16").body)
        let tags = ["", "&cast=float32", "&cast=float16"].map {
            service.ask(.get, "/init?\(Self.request)&format=raw\($0)")["ETag"]
        }
        #expect(tags[0] != nil && tags[0] == tags[1] && tags[1] != tags[2])
        let unknown = service.ask(.get, "/init?\(Self.request)&cast=int64")
        #expect(unknown.status == 400)
        #expect(try unknown.fault().parameter == "cast")
    }
}
