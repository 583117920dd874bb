import SHA2
import Foundation
import HTTPTypes
import InitService
import Testing
import WeightInit

@Suite("Models over HTTP")
struct ModelTests {
    let service = InitService()

    private static let model = #"""
        {"seed": 7, "layers": [
          {"name": "conv", "type": "Conv2d", "in_channels": 3, "out_channels": 8, "kernel_size": 3},
          {"name": "bn", "type": "BatchNorm2d", "num_features": 8},
          {"name": "h", "repeat": 2, "layers": [
            {"name": "fc", "type": "Linear", "in_features": 8, "out_features": 8, "dtype": "float64"},
            {"type": "ReLU"}]},
          {"name": "e", "type": "Embedding", "num_embeddings": 5, "embedding_dim": 8, "padding_idx": 1},
          {"name": "head", "type": "Linear", "in_features": 8, "out_features": 5, "bias": false}],
         "tie": {"head.weight": "e.weight"},
         "rules": [{"type": "Conv2d", "parameter": "weight", "method": "kaiming_normal", "mode": "fan_out"},
                   {"name": "h.1.*", "method": "skip"}, {"parameter": "bias", "method": "zeros"}]}
        """#

    private func safetensors(_ request: String) throws -> SafetensorsFile {
        let answer = service.post("/init", request, ["Accept": "application/x-safetensors"])
        try #require(answer.status == 200, "\(answer.text)")
        return try SafetensorsFile(answer.body)
    }

    // MARK: One request, one URL

    @Test("The URL in Content-Location has the reply of the POST", arguments: ["json", "safetensors", "summary"])
    func contentLocation(_ format: String) throws {
        let request = #"{"format":"\#(format)","# + Self.model.dropFirst()
        let posted = service.post("/init", request)
        try #require(posted.status == 200, "\(posted.text)")
        let url = try #require(posted["Content-Location"])
        let got = service.ask(.get, url)
        #expect(got["ETag"] == posted["ETag"])
        #expect(got.body == posted.body)
        #expect(got["Content-Type"] == posted["Content-Type"])
        // The canonical form of a canonical request is the request itself.
        let canonical = try #require(URLComponents(string: url)?.queryItems?.first { $0.name == "request" }?.value)
        #expect(service.post("/init", canonical)["Content-Location"] == url)
        let tag = try #require(posted["ETag"])
        #expect(service.ask(.get, url, ["If-None-Match": tag]).status == 304)
    }

    @Test("All spellings of a model have the same entity tag")
    func spellings() throws {
        func tag(_ request: String) throws -> String {
            let answer = service.post("/init", request)
            try #require(answer.status == 200, "\(answer.text)")
            return try #require(answer["ETag"])
        }
        let expected = try tag(
            """
            {"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3}],
             "rules":[{"parameter":"weight","method":"xavier_uniform"}]}
            """
        )
        for spelling in [
            """
            {"rules":[{"method":"glorot_uniform_","parameter":"weight","gain":1}],"format":"json","seed":"01",
             "layers":[{"out_features":3,"in_features":2,"bias":true,"type":"Linear","name":"0"}]}
            """,
            """
            {"seed":1,"dtype":"float32","seeding":"stream","defaults":true,"tie":{},
             "layers":[{"type":"Linear","in_features":2,"out_features":3,"dtype":"float32","rules":[]}],
             "rules":[{"parameter":"weight","method":"xavier_uniform","gain":1.0}]}
            """,
        ] {
            #expect(try tag(spelling) == expected, "\(spelling)")
        }
        var tags = [expected]
        for other in [
            #"{"seed":2,"layers":[{"type":"Linear","in_features":2,"out_features":3}]}"#,
            #"{"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3}]}"#,
            #"{"seed":1,"layer":{"type":"Linear","in_features":2,"out_features":3}}"#,
            #"{"seed":1,"seeding":"per_tensor","layers":[{"type":"Linear","in_features":2,"out_features":3}]}"#,
            #"{"seed":1,"defaults":false,"layers":[{"type":"Linear","in_features":2,"out_features":3}]}"#,
            #"{"seed":1,"layers":[{"type":"Linear","in_features":3,"out_features":2}]}"#,
            #"{"seed":1,"layers":[{"name":"a","type":"Linear","in_features":2,"out_features":3}]}"#,
            #"{"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3,"repeat":1}]}"#,
            #"{"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3,"dtype":"float64"}]}"#,
            """
            {"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3,
             "rules":[{"parameter":"weight","method":"xavier_uniform"}]}]}
            """,
            """
            {"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3}],
             "rules":[{"name":"0.weight","method":"xavier_uniform"}]}
            """,
        ] {
            let tag = try tag(other)
            #expect(!tags.contains(tag), "\(other)")
            tags.append(tag)
        }
    }

    @Test(
        "An integer that stands for a list gives the same entity tag as the list",
        arguments: [
            (#""type":"Conv2d","in_channels":2,"out_channels":4,"kernel_size""#, "3", "[3,3]", "[3,1]"),
            (#""type":"Conv1d","in_channels":2,"out_channels":4,"kernel_size""#, "3", "[3]", "[2]"),
            (#""type":"Conv2d","in_channels":2,"out_channels":4,"kernel_size":3,"stride""#, "1", "[1,1]", "[2,1]"),
            (#""type":"LayerNorm","normalized_shape""#, "6", "[6]", "[6,6]"),
        ]
    )
    func integers(_ layer: String, _ integer: String, _ list: String, _ other: String) throws {
        let tags = try [integer, list, other].map { value in
            let answer = service.post("/init", #"{"layer":{\#(layer):\#(value)}}"#)
            try #require(answer.status == 200, "\(answer.text)")
            return try #require(answer["ETag"])
        }
        #expect(tags[0] == tags[1])
        #expect(tags[0] != tags[2])
    }

    // MARK: Formats

    @Test(
        "A tied name that is reserved in the metadata of safetensors is refused there, and accepted in other formats",
        arguments: ["seed", "profile", "request", "format"]
    )
    func reservedTies(_ name: String) throws {
        let model =
            #""layers":[{"name":"a","type":"Parameter","shape":[2]},{"name":"\#(name)","type":"Parameter","shape":[2]}],"#
            + #""tie":{"\#(name)":"a"}"#
        for path in ["/init", "/explain"] {
            let answer = service.post(path, #"{\#(model),"format":"safetensors"}"#)
            #expect(answer.status == 422)
            let fault = try answer.fault()
            #expect(fault.pointer == "/tie/" + name)
            #expect(fault.detail.contains("is a name in the metadata of a safetensors file"))
        }
        let json = service.post("/init", #"{\#(model),"format":"json"}"#)
        #expect(try json.json()["tie"] as? [String: String] == [name: "a"])
    }

    @Test("Formats that hold one tensor are refused for a model, with the reason", arguments: ["raw", "npy"])
    func oneTensorFormats(_ format: String) throws {
        let request = #"{"format":"\#(format)","layer":{"type":"PReLU"}}"#
        for path in ["/init", "/explain"] {
            let answer = service.post(path, request)
            #expect(answer.status == 406)
            let fault = try answer.fault()
            #expect(fault.pointer == "/format")
            #expect(fault.detail == "\(format) holds one tensor only")
            #expect(fault.allowed == ["json", "safetensors", "summary"])
        }
        let mediaType = format == "raw" ? "application/octet-stream" : "application/x-npy"
        let answer = service.post("/init", #"{"layer":{"type":"PReLU"}}"#, ["Accept": mediaType])
        #expect(answer.status == 406)
        #expect(try answer.fault().detail.contains("one tensor only"))
        #expect(try answer.fault().allowed == ["application/json", "application/x-safetensors"])
    }

    @Test("JSON has every tensor with its numbers")
    func json() throws {
        let answer = service.post(
            "/init",
            #"{"seed":-1,"tensors":[{"name":"a","shape":[2,2],"method":"eye"},{"shape":[],"method":"ones","dtype":"float16"}]}"#
        )
        #expect(
            answer.text
                == #"{"seed":-1,"effective_seed":4294967295,"seeding":"stream","tensors":["#
                + #"{"name":"a","shape":[2,2],"dtype":"float32","data":[[1.0,0.0],[0.0,1.0]]},"#
                + #"{"name":"1","shape":[],"dtype":"float16","data":1.0}]}"#
        )
        #expect(answer.statedLength == answer.body.count)
        #expect(service.post("/init", #"{"layers":[]}"#).text.hasSuffix(#""tensors":[]}"#))
    }

    @Test("JSON and summary agree with the safetensors file")
    func formatsAgree() throws {
        let file = try safetensors(Self.model)
        let json = try service.post("/init", Self.model).json()
        let summary = try service.post("/init", #"{"format":"summary","# + Self.model.dropFirst()).json()
        let tensors = try #require(json["tensors"] as? [[String: Any]])
        let summaries = try #require(summary["tensors"] as? [[String: Any]])
        #expect(tensors.compactMap { $0["name"] as? String } == summaries.compactMap { $0["name"] as? String })
        #expect(Set(tensors.compactMap { $0["name"] as? String }) == Set(file.tensors.keys))
        for summary in summaries {
            let name = try #require(summary["name"] as? String)
            let tensor = try #require(file.tensors[name])
            #expect(summary["sha256"] as? String == SHA256.hash(data: tensor.bytes).description)
            #expect(summary["shape"] as? [Int] == tensor.shape)
        }
        #expect(json["tie"] as? [String: String] == ["head.weight": "e.weight"])
        #expect(file.metadata["head.weight"] == "e.weight")
        #expect(file.metadata["profile"] == "torch-2.13")
        #expect(file.metadata["seed"] == "7")
        // The file's metadata holds the request that makes the file.
        let recipe = try #require(file.metadata["request"])
        #expect(try safetensors(recipe).tensors["h.1.fc.bias"]?.bytes == file.tensors["h.1.fc.bias"]?.bytes)
        let embedding = try #require(file.tensors["e.weight"]?.bytes)
        #expect(embedding.dropFirst(32).prefix(32).allSatisfy { $0 == 0 })
        #expect(!embedding.prefix(32).allSatisfy { $0 == 0 })
    }

    @Test("Any range of the file is that part of the whole")
    func ranges() throws {
        let url = "/init?request=" + encoded(#"{"format":"safetensors","# + Self.model.dropFirst())
        let whole = service.ask(.get, url).body
        #expect(whole.count > 2000)
        for index in 0..<40 {
            // Scattered positions, the same in every run.
            let (first, second) = (index * 7919 % whole.count, (index * index * 104_729 + 13) % whole.count)
            let (start, end) = (min(first, second), max(first, second))
            let answer = service.ask(.get, url, ["Range": "bytes=\(start)-\(end)"])
            #expect(answer.status == 206)
            #expect(answer["Content-Range"] == "bytes \(start)-\(end)/\(whole.count)")
            #expect(answer.body == Array(whole[start...end]), "\(start)-\(end)")
        }
        #expect(service.ask(.get, url, ["Range": "bytes=\(whole.count)-"]).status == 416)
        let head = service.ask(.head, url)
        #expect(head.status == 200)
        #expect(head.statedLength == whole.count)
        #expect(head.body.isEmpty)
        #expect(head["Accept-Ranges"] == "bytes")
        #expect(head["ETag"] == service.ask(.get, url)["ETag"])
    }

    // MARK: Explain

    private func explained(_ request: String) throws -> [String: [String: Any]] {
        let answer = service.post("/explain", request)
        try #require(answer.status == 200, "\(answer.text)")
        let tensors = try #require(try answer.json()["tensors"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: tensors.map { ($0["name"] as? String ?? "", $0) })
    }

    private func start(_ tensor: [String: Any]?) -> Int? {
        (tensor?["start"] as? [String: Any])?["word"] as? Int
    }

    @Test("A model's plan has each tensor's method, rule and position in the stream")
    func explain() throws {
        let tensors = try explained(Self.model)
        let conv = try #require(tensors["conv.weight"])
        #expect(conv["method"] as? String == "kaiming_normal")
        #expect(conv["rule"] as? String == "/rules/0")
        #expect(conv["words"] as? Int == 216 + 16)
        #expect(conv["fan_out"] as? Int == 72)
        #expect(conv["bytes"] as? Int == 864)
        // The rule's draw follows all default draws: the convolution, two float64 Linears with two words for each
        // number, 40 normals, of which the last 16 are redrawn because 40 is not a multiple of 16, and the tied head.
        #expect(start(conv) == 216 + 8 + 2 * 2 * (64 + 8) + (40 + 16) + 40)
        #expect(tensors["conv.bias"]?["rule"] as? String == "/rules/2")
        #expect(tensors["conv.bias"]?["words"] as? Int == 0)
        #expect(tensors["h.0.fc.bias"]?["method"] as? String == "zeros")
        #expect(tensors["h.1.fc.bias"]?["rule"] is NSNull)
        #expect(start(tensors["h.1.fc.bias"]) == 216 + 8 + 2 * (64 + 8) + 2 * 64)
        #expect(tensors["bn.num_batches_tracked"]?["buffer"] as? Bool == true)
        #expect(tensors["bn.num_batches_tracked"]?["dtype"] as? String == "int64")
        #expect(tensors["bn.weight"]?["buffer"] == nil)
        #expect(tensors["head.weight"] == nil)
        let totals = try service.post("/explain", Self.model).json()
        // Parameters exclude the running statistics and count the tied head once.
        #expect(totals["parameters"] as? Int == 216 + 8 + 16 + 2 * 72 + 40)
        #expect(totals["bytes"] as? Int == 4 * (224 + 16 + 16 + 40) + 8 * (144 + 1))
        #expect(totals["words"] as? Int == 216 + 8 + 288 + 56 + 40 + 232)
        #expect((totals["url"] as? String)?.hasPrefix("/init?request=%7B%22seed%22") == true)
    }

    @Test("After a truncated normal all starts are unknown, and words are unknown if a cached sample may be used")
    func unknownStarts() throws {
        let tensors = try explained(
            """
            {"tensors":[{"name":"a","shape":[96],"method":"normal"},{"name":"t","shape":[100],"method":"trunc_normal"},
             {"name":"large","shape":[96],"method":"normal"},{"name":"small","shape":[3],"method":"normal"},
             {"name":"u","shape":[3],"method":"uniform"},{"name":"z","shape":[3],"method":"zeros"}]}
            """
        )
        #expect(start(tensors["a"]) == 0)
        #expect(start(tensors["t"]) == 96)
        #expect(tensors["t"]?["words"] is NSNull)
        for name in ["large", "small", "u", "z"] { #expect(tensors[name]?["start"] is NSNull, "\(name)") }
        #expect(tensors["large"]?["words"] as? Int == 96)
        #expect(tensors["small"]?["words"] is NSNull)
        #expect(tensors["u"]?["words"] as? Int == 3)
        #expect(tensors["z"]?["words"] as? Int == 0)
    }

    @Test("With per_tensor seeding, every tensor starts at word 0 of its own generator")
    func explainPerTensor() throws {
        let tensors = try explained(
            """
            {"seed":1,"seeding":"per_tensor","layers":[{"name":"a","type":"Linear","in_features":3,"out_features":2},
             {"name":"b","type":"Linear","in_features":3,"out_features":2}],
             "rules":[{"name":"a.weight","method":"trunc_normal"}]}
            """
        )
        for tensor in tensors.values { #expect(start(tensor) == 0) }
        let digest = Array(SHA256.hash(data: Data("1:b.bias".utf8)))
        let seed = digest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        #expect(tensors["b.bias"]?["effective_seed"] as? Int == seed)
    }

    @Test("The plan names an entry's rule by its place in the request")
    func entryRules() throws {
        let tensors = try explained(
            """
            {"layers":[{"name":"h","repeat":2,"layers":[{"name":"fc","type":"Linear","in_features":2,"out_features":2,
             "rules":[[{"parameter":"weight","method":"zeros"}],[{"name":"bias","method":"ones"}]]}],
             "rules":[{"name":"fc.bias","method":"normal"},{"name":"fc.weight","method":"skip"}]}]}
            """
        )
        #expect(tensors["h.1.fc.weight"]?["rule"] as? String == "/layers/0/layers/0/rules/0/0")
        #expect(tensors["h.1.fc.bias"]?["rule"] as? String == "/layers/0/rules/0")
    }

    @Test("Braces in a repeated entry's name are replaced by the index")
    func braces() throws {
        let tensors = try explained(
            """
            {"layers":[{"name":"a{}b{}","repeat":2,"type":"PReLU"},{"name":"c{}","type":"PReLU"},
             {"name":"d","repeat":1,"type":"PReLU"},{"repeat":0,"type":"PReLU"}]}
            """
        )
        #expect(Set(tensors.keys) == ["a0b{}.weight", "a1b{}.weight", "c{}.weight", "d.0.weight"])
    }

    @Test("An explanation of a model of any size generates nothing")
    func large() throws {
        // 10^12 parameters.
        let request = """
            {"layers":[{"name":"h","repeat":100,"layers":
             [{"name":"fc","type":"Linear","in_features":100000,"out_features":100000,"bias":false}]}],
             "rules":[{"type":"Linear","method":"trunc_normal","std":0.02}]}
            """
        let answer = service.post("/explain", request)
        #expect(!answer.wasDeferred)
        let plan = try answer.json()
        #expect(plan["parameters"] as? Int == 1_000_000_000_000)
        #expect(plan["bytes"] as? Int == 4_000_000_000_000)
        #expect(plan["words"] is NSNull)
        #expect((plan["tensors"] as? [Any])?.count == 100)
        // If no words have to be counted, the file's length is known, too.
        let file = #"{"format":"safetensors","# + request.replacing("trunc_normal", with: "normal").dropFirst()
        let head = service.ask(.head, "/init?request=" + encoded(file))
        #expect(head.status == 200)
        #expect((head.statedLength ?? 0) > 4_000_000_000_000)
    }

    // MARK: A generator for every tensor

    @Test("Adding, removing and moving layers changes no other tensor")
    func independence() throws {
        let entries = [
            #"{"name":"a","type":"Linear","in_features":5,"out_features":4}"#,
            #"{"name":"b","type":"LSTM","input_size":3,"hidden_size":4}"#,
            #"{"name":"c","type":"MultiheadAttention","embed_dim":4,"num_heads":2}"#,
            #"{"name":"d","type":"Embedding","num_embeddings":7,"embedding_dim":3}"#,
        ]
        let rules = #""rules":[{"type":"Linear","parameter":"weight","method":"trunc_normal"}]"#
        func tensors(_ order: [Int]) throws -> [String: [UInt8]] {
            let layers = order.map { entries[$0] }.joined(separator: ",")
            return try safetensors(#"{"seed":5,"seeding":"per_tensor","layers":[\#(layers)],\#(rules)}"#)
                .tensors.mapValues { Array($0.bytes) }
        }
        let all = try tensors([0, 1, 2, 3])
        #expect(Set(all.values).count == all.count)
        for order in [[3, 2, 1, 0], [0, 2], [2, 0, 3], [0]] {
            for (name, bytes) in try tensors(order) { #expect(all[name] == bytes, "\(name)") }
        }
    }

    @Test("Each tensor is the same as a single tensor with the derived seed")
    func derivedSeed() throws {
        let file = try safetensors(
            """
            {"seed":-3,"seeding":"per_tensor","layers":[{"name":"fc","type":"Linear","in_features":20,"out_features":10}],
             "rules":[{"name":"fc.weight","method":"xavier_normal","gain":2}]}
            """
        )
        let digest = Array(SHA256.hash(data: Data("4294967293:fc.weight".utf8)))
        let seed = digest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        let alone = service.ask(.get, "/init?method=xavier_normal&gain=2&shape=10,20&format=raw&seed=\(seed)")
        #expect(file.tensors["fc.weight"].map { Array($0.bytes) } == alone.body)
    }

    // MARK: The catalogue

    @Test("The catalogue has every layer, and every layer in it can be requested")
    func catalogue() throws {
        let layers = try #require(try service.ask(.get, "/methods").json()["layers"] as? [[String: Any]])
        let names = layers.compactMap { $0["name"] as? String }
        #expect(Set(names).count == names.count)
        #expect(Set(names).isSuperset(of: ["Linear", "Conv3d", "LSTM", "GRUCell", "RMSNorm", "Transformer", "ReLU"]))
        let classes = Set(names + layers.flatMap { $0["bases"] as? [String] ?? [] })
        for layer in layers {
            let name = try #require(layer["name"] as? String)
            var arguments: [String: Any] = ["type": name]
            let parameters = try #require(layer["parameters"] as? [[String: Any]])
            for parameter in parameters where parameter["required"] as? Bool == true {
                let argument = try #require(parameter["name"] as? String)
                arguments[argument] =
                    parameter["type"] as? String == "layer"
                    ? ["type": "TransformerEncoderLayer", "d_model": 2, "nhead": 1] as [String: Any] : 1
            }
            if name.hasPrefix("FractionalMaxPool") { arguments["output_size"] = 1 }
            if name == "Unflatten" { arguments["unflattened_size"] = [1] }
            let request = try JSONSerialization.data(withJSONObject: ["layer": arguments])
            let answer = service.post("/explain", String(decoding: request, as: UTF8.self))
            #expect(answer.status == 200, "\(answer.text)")
            let tensors = try answer.json()["tensors"] as? [Any] ?? []
            // InstanceNorm has tensors only if its arguments ask for them.
            if !name.hasPrefix("InstanceNorm") { #expect(tensors.isEmpty == (layer["tensors"] as? Bool == false)) }
        }
        for type in classes {
            let rules = #""rules":[{"method":"zeros"},{"type":"\#(type)","method":"skip"}]"#
            let answer = service.post("/explain", #"{"layer":{"type":"PReLU"},\#(rules)}"#)
            #expect(!answer.text.contains("unknown layer type"), "\(type)")
        }
    }
}
