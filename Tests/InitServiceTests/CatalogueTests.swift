import ByteText
import Foundation
import HTTPTypes
import InitService
import SHA2
import Testing
import WeightInit

@testable import InitAPI

@Suite("Models by name")
struct CatalogueTests {
    static let request = #"""
        {"description": "a small one\nsecond line", "seed": 7, "layers": [
          {"name": "embed", "type": "Embedding", "num_embeddings": 5, "embedding_dim": 8},
          {"name": "fc", "repeat": 3, "layers": [{"name": "up", "type": "Linear", "in_features": 8, "out_features": 8}]},
          {"name": "head", "type": "Linear", "in_features": 8, "out_features": 5, "bias": false}],
         "tie": {"head.weight": "embed.weight"}}
        """#
    static let config = #"{"architectures": ["Small"]}"#

    private func service(shards: Int? = nil, named name: Text = "acme/small") throws -> InitService {
        var limits = ServiceLimits()
        if let shards { limits.maximumShardBytes = shards }
        let files = [
            ModelFile(name: "init.json", bytes: Array(Self.request.utf8)),
            ModelFile(name: "config.json", bytes: Array(Self.config.utf8)),
        ]
        let model = try CatalogueModel(name: name, files: files, limits: limits)
        return InitService(limits: limits, models: ModelCatalogue(adding: [model]))
    }

    /// The reply of `/init` to the same request with the given members.
    private func initialized(_ service: InitService, _ members: String) -> Answer {
        service.post("/init", "{\(members)," + Self.request.dropFirst().replacing(#""seed": 7,"#, with: ""))
    }

    // MARK: The catalogue

    @Test("The catalogue has names, sizes and descriptions")
    func list() throws {
        let service = try service()
        let answer = service.ask(.get, "/models")
        #expect(answer["Cache-Control"] == "public, max-age=60")
        let models = try #require(try answer.json()["models"] as? [[String: Any]])
        let model = try #require(models.first { $0["name"] as? String == "acme/small" })
        #expect(model["description"] as? String == "a small one")
        // Three layers with weight and bias, and an embedding that is tied to the head's weight.
        #expect(model["tensors"] as? Int == 7)
        #expect(model["parameters"] as? Int == 40 + 3 * 72)
        #expect(model["bytes"] as? Int == 4 * (40 + 3 * 72))
        #expect(model["files"] as? [String] == ["config.json", "init.json"])
        #expect(service.ask(.get, "/models", ["If-None-Match": try #require(answer["ETag"])]).status == 304)
        #expect(service.ask(.get, "/models?page=2").status == 400)
        #expect(service.ask(.post, "/models").status == 405)
    }

    @Test("The sizes of the built-in models are those of their plans")
    func sizes() throws {
        let limits = ServiceLimits()
        for model in ModelCatalogue().all {
            let plan = try Plan(model.members(limits).request, seed: Seed(UInt64(0)), limits: limits.tensors)
            #expect(model.tensorCount == plan.tensors.count, "\(model.name)")
            #expect(model.byteCount == plan.byteCount, "\(model.name)")
            // The model's number of parameters was counted by PyTorch.
            #expect(model.parameterCount == plan.parameterCount, "\(model.name)")
            // The cost of planning is stored, too; for a model in a directory, the decoder counts it.
            let file = ModelFile(name: "init.json", bytes: try model.document())
            let read = try CatalogueModel(name: model.name, files: [file], limits: limits)
            #expect(model.planningNeed == read.planningNeed, "\(model.name)")
        }
    }

    @Test("The cost of planning counts literals in bytes, and the rest of a request in tensors")
    func literals() throws {
        func need(_ zeros: Int) throws -> PlanningNeed {
            let elements = String(repeating: "A", count: zeros * 16 / 3)
            let request = #"{"tensors":[{"name":"a","shape":[\#(zeros)],"method":"data","base64":"\#(elements)"}]}"#
            let file = ModelFile(name: "init.json", bytes: Array(request.utf8))
            return try CatalogueModel(name: "a/b", files: [file], limits: ServiceLimits()).planningNeed
        }
        let (small, large) = (try need(3), try need(300_000))
        #expect(small.literalText == 16 && small.literalBytes == 12 && small.tensors == 1)
        #expect(large.literalText == 1_600_000 && large.literalBytes == 1_200_000 && large.tensors == 1)
        #expect(Allowance.immediate.covers(small) && !Allowance.immediate.covers(large))
        #expect(Allowance.immediate.planning(large).covers(large))
    }

    @Test("A model with large literals is planned as short work")
    func shortWork() throws {
        let limits = ServiceLimits()
        for model in ModelCatalogue().all {
            let estimate = Allowance.immediate.planning(model.planningNeed).estimate(within: limits)
            #expect(
                estimate.duration <= .milliseconds(100) && estimate.memory <= 64 << 20,
                "\(model.name): \(estimate)"
            )
        }
    }

    @Test("A long file is unpacked as deferred work, and only if its bytes are wanted")
    func longFile() throws {
        let service = InitService()
        let path = "/random/whisper-tiny/resolve/main/init.json"
        let head = service.ask(.head, path)
        let file = service.ask(.get, path)
        #expect(head.status == 200 && !head.wasDeferred && file.status == 200 && file.wasDeferred)
        #expect(file["Content-Length"] == head["Content-Length"] && file["ETag"] == head["ETag"])
        #expect(file["Accept-Ranges"] == "bytes")
        let part = service.ask(.get, path, ["Range": "bytes=1000-1009"])
        #expect(part.status == 206 && part.body == Array(file.body[1000..<1010]))
        #expect(!service.ask(.get, path, ["If-None-Match": try #require(file["ETag"])]).wasDeferred)
        #expect(!service.ask(.get, "/random/gpt2/resolve/main/init.json").wasDeferred)
        // As a body of a client, the request is over the limit.
        let refused = service.post("/init", String(decoding: file.body, as: UTF8.self))
        #expect(refused.status == 413 && refused.text.contains("--max-body-bytes"))
    }

    @Test("A plan and the catalogue count the same parameters, without running statistics in a list of tensors")
    func parameters() throws {
        let service = try service()
        let models = try #require(try service.ask(.get, "/models").json()["models"] as? [[String: Any]])
        let counted = try #require(models.first { $0["name"] as? String == "random/resnet18" }?["parameters"] as? Int)
        let request = service.ask(.get, "/random/resnet18/resolve/main/init.json").text
        let plan = try service.post("/explain", request).json()
        // The number that torchvision documents.
        #expect(counted == 11_689_512)
        #expect(plan["parameters"] as? Int == counted)
        let tensors = try #require(plan["tensors"] as? [[String: Any]])
        let buffers = tensors.filter { $0["buffer"] as? Bool == true }.compactMap { $0["name"] as? String }
        #expect(buffers.contains("bn1.running_mean") && buffers.contains("bn1.num_batches_tracked"))
        #expect(!buffers.contains { $0.hasSuffix(".weight") || $0.hasSuffix(".bias") })
    }

    @Test(
        "A model by name has the same reply as /init with its request",
        arguments: [
            ("", #""seed":7"#), ("seed=9", #""seed":9"#),
            ("seed=9&format=safetensors", #""seed":9,"format":"safetensors""#),
            ("format=summary&cast=bfloat16", #""seed":7,"format":"summary","cast":"bfloat16""#),
            ("include=fc.*.bias,embed.weight", #""seed":7,"include":["fc.*.bias","embed.weight"]"#),
            ("include=%5B%22fc.*.bias%22%5D", #""seed":7,"include":["fc.*.bias"]"#),
            (#"slices=%7B%22embed.weight%22:%220:2%22%7D"#, #""seed":7,"slices":{"embed.weight":"0:2"}"#),
        ]
    )
    func byName(_ query: String, _ members: String) throws {
        let service = try service()
        let answer = service.ask(.get, "/models/acme/small?" + query)
        let expected = initialized(service, members)
        try #require(answer.status == 200, "\(answer.text)")
        #expect(answer.body == expected.body)
        #expect(answer["ETag"] == expected["ETag"])
        #expect(answer["Content-Type"] == expected["Content-Type"])
        #expect(answer["Cache-Control"] == "public, max-age=60")
        // The second reply uses the cached plan.
        #expect(service.ask(.get, "/models/acme/small?" + query).body == expected.body)
        let head = service.ask(.head, "/models/acme/small?" + query)
        #expect(head["ETag"] == expected["ETag"])
        // The length of a summary is not known before it is made.
        if !query.contains("summary") { #expect(head.statedLength == expected.statedLength) }
    }

    @Test(
        "Beside a model's name, members of the model's own request and invalid values are refused",
        arguments: [
            ("layers=1", 400), ("dtype=float64", 400), ("seed=x", 400), ("include=nothing.*", 400),
            ("include=%5B", 400),
            ("format=npy", 406), ("cast=int8", 400), ("slices=0:2", 400), ("seed=1&seed=2", 400),
        ]
    )
    func refused(_ query: String, _ status: Int) throws {
        let answer = try service().ask(.get, "/models/acme/small?" + query)
        #expect(answer.status == status, "\(answer.text)")
        #expect(try answer.fault().parameter != nil)
    }

    // MARK: The Hub's protocol

    @Test("A revision is a seed, and the commit of a revision is a revision with the same files")
    func revisions() throws {
        let service = try service()
        let file = "/model.safetensors"
        for (revision, seed) in [("main", 7), ("seed-7", 7), ("seed-42", 42), ("seed--1", UInt64.max)]
            as [(String, UInt64)]
        {
            let answer = service.ask(.get, "/acme/small/resolve/\(revision)\(file)")
            try #require(answer.status == 200, "\(answer.text)")
            #expect(answer.body == initialized(service, #""seed":\#(seed),"format":"safetensors""#).body)
            #expect(answer["Cache-Control"] == "public, max-age=60")
            let commit = try #require(answer["X-Repo-Commit"])
            #expect(commit.count == 40 && commit.allSatisfy { $0.isHexDigit && !$0.isUppercase })
            let committed = service.ask(.get, "/acme/small/resolve/\(commit)\(file)")
            #expect(committed.body == answer.body)
            #expect(committed["ETag"] == answer["ETag"])
            #expect(committed["X-Repo-Commit"] == commit)
            #expect(committed["Cache-Control"] == "public, max-age=31536000, immutable")
            let information = try service.ask(.get, "/api/models/acme/small/revision/\(revision)").json()
            #expect(information["sha"] as? String == commit)
        }
        #expect(
            try service.ask(.get, "/api/models/acme/small").json()["sha"] as? String
                == service.ask(.head, "/acme/small/resolve/main/config.json")["X-Repo-Commit"]
        )
    }

    @Test("Different contents have different commits")
    func commits() throws {
        let commit = try service().ask(.head, "/acme/small/resolve/main/config.json")["X-Repo-Commit"]
        let other = try service(shards: 100).ask(.head, "/acme/small/resolve/main/config.json")["X-Repo-Commit"]
        #expect(commit != other)
        #expect(commit?.suffix(16) == other?.suffix(16))
        let unknown = try service(shards: 100).ask(.head, "/acme/small/resolve/\(commit ?? "")/config.json")
        #expect(unknown["X-Error-Code"] == "RevisionNotFound")
    }

    @Test("Files have a length, an entity tag, a name and ranges")
    func files() throws {
        let service = try service()
        let config = service.ask(.get, "/acme/small/resolve/main/config.json?download=true")
        #expect(config.text == Self.config)
        #expect(config["Content-Type"] == "application/json")
        #expect(config["Content-Disposition"] == #"inline; filename="config.json";"#)
        #expect(config["Accept-Ranges"] == "bytes")
        #expect(config["Vary"] == nil)
        let part = service.ask(.get, "/acme/small/resolve/main/config.json", ["Range": "bytes=2-14"])
        #expect(part.status == 206)
        #expect(part.text == "architectures")
        #expect(part["Content-Range"] == "bytes 2-14/\(Self.config.utf8.count)")
        #expect(part["X-Repo-Commit"] != nil)
        for file in ["config.json", "init.json", "model.safetensors"] {
            let path = "/acme/small/resolve/seed-3/" + file
            let whole = service.ask(.get, path)
            let head = service.ask(.head, path, ["Accept": "text/html"])
            #expect(head.status == 200)
            #expect(head.statedLength == whole.body.count)
            #expect(head["ETag"] == whole["ETag"])
            #expect(head["X-Repo-Commit"] == whole["X-Repo-Commit"])
            let tail = service.ask(.get, path, ["Range": "bytes=5-", "If-Range": try #require(whole["ETag"])])
            #expect(tail.body.elementsEqual(whole.body.dropFirst(5)))
            #expect(service.ask(.get, path, ["If-None-Match": try #require(whole["ETag"])]).status == 304)
            #expect(service.ask(.get, path, ["Range": "bytes=\(whole.body.count)-"]).status == 416)
            #expect(service.ask(.post, path).status == 405)
        }
    }

    @Test("The tree has every file with its size, and a digest where it is known")
    func tree() throws {
        let service = try service()
        let answer = service.ask(.get, "/api/models/acme/small/tree/seed-5?recursive=True&expand=False")
        let files = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [[String: Any]])
        #expect(files.map { $0["path"] as? String } == ["config.json", "init.json", "model.safetensors"])
        for file in files {
            let path = try #require(file["path"] as? String)
            let whole = service.ask(.get, "/acme/small/resolve/seed-5/\(path)")
            #expect(file["type"] as? String == "file")
            #expect(file["size"] as? Int == whole.body.count)
            #expect((file["oid"] as? String)?.count == 40)
            if let stored = file["lfs"] as? [String: Any] {
                #expect(stored["oid"] as? String == SHA256.hash(data: whole.body).description)
            }
        }
        #expect(files[0]["lfs"] != nil)
        let siblings = try service.ask(.get, "/api/models/acme/small?blobs=true").json()["siblings"] as? [[String: Any]]
        #expect(siblings?.map { $0["rfilename"] as? String } == files.map { $0["path"] as? String })
        let directory = service.ask(.get, "/api/models/acme/small/tree/main/additional_chat_templates")
        #expect(directory.status == 404)
        #expect(directory["X-Error-Code"] == "EntryNotFound")
    }

    @Test("Weights over a limit are split into ordered shards with an index", arguments: [1, 100, 200, 400, 700, 2000])
    func shards(_ limit: Int) throws {
        let service = try service(shards: limit)
        let whole = try SafetensorsFile(initialized(service, #""seed":11,"format":"safetensors""#).body)
        let path = "/acme/small/resolve/seed-11/"
        let index = service.ask(.get, path + "model.safetensors.index.json")
        guard limit < 4 * (40 + 3 * 72) else {
            #expect(index.status == 404)
            #expect(service.ask(.head, path + "model.safetensors").status == 200)
            return
        }
        #expect(service.ask(.head, path + "model.safetensors").status == 404)
        let map = try #require(try index.json()["weight_map"] as? [String: String])
        let metadata = try #require(try index.json()["metadata"] as? [String: Any])
        #expect(metadata["total_size"] as? Int == 4 * (40 + 3 * 72))
        #expect(Set(map.keys) == Set(whole.tensors.keys))
        let names = Set(map.values).sorted()
        #expect(names.last == "model-0000\(names.count)-of-0000\(names.count).safetensors")
        var sent = 0
        for name in names {
            let answer = service.ask(.get, path + name)
            #expect(service.ask(.head, path + name)["ETag"] == answer["ETag"])
            let file = try SafetensorsFile(answer.body)
            #expect(file.metadata["format"] == "pt")
            #expect(file.metadata["seed"] == "11")
            for (tensor, content) in file.tensors {
                #expect(map[tensor] == name)
                #expect(content.bytes.elementsEqual(whole.tensors[tensor]?.bytes ?? []))
            }
            let bytes = file.tensors.values.reduce(0) { $0 + $1.bytes.count }
            #expect(bytes <= limit || file.tensors.count == 1)
            sent += bytes
        }
        #expect(sent == 4 * (40 + 3 * 72))
        let tags = names.map { service.ask(.head, path + $0)["ETag"] }
        #expect(Set(tags).count == names.count)
        for other in ["model-00000-of-0000\(names.count)", "model-1-of-\(names.count)", "model-00001-of-00099"] {
            #expect(service.ask(.head, path + other + ".safetensors").status == 404)
        }
    }

    @Test("The index has the members that save_pretrained writes, with tensors in alphabetical order")
    func index() throws {
        let text = try service(shards: 300).ask(.get, "/acme/small/resolve/main/model.safetensors.index.json").text
        #expect(
            text == #"{"metadata":{"profile":"torch-2.13","seed":"7","total_parameters":256,"total_size":1024},"#
                + #""weight_map":{"embed.weight":"model-00001-of-00004.safetensors","#
                + #""fc.0.up.bias":"model-00002-of-00004.safetensors","fc.0.up.weight":"model-00002-of-00004.safetensors","#
                + #""fc.1.up.bias":"model-00003-of-00004.safetensors","fc.1.up.weight":"model-00003-of-00004.safetensors","#
                + #""fc.2.up.bias":"model-00004-of-00004.safetensors","fc.2.up.weight":"model-00004-of-00004.safetensors"}}"#
        )
    }

    // MARK: Errors

    @Test(
        "Errors have the Hub's codes",
        arguments: [
            ("/acme/tiny/resolve/main/config.json", "RepoNotFound"), ("/api/models/acme/tiny", "RepoNotFound"),
            ("/models/acme/tiny", "RepoNotFound"), ("/models/acme%2Fsmall/small", "RepoNotFound"),
            ("/../small/resolve/main/config.json", "RepoNotFound"),
            ("/acme/%2e%2e/resolve/main/config.json", "RepoNotFound"),
            ("/acme/small%20/resolve/main/config.json", "RepoNotFound"), ("/ACME/small/resolve/main/a", "RepoNotFound"),
            ("/acme/sma%CC%81ll/resolve/main/a", "RepoNotFound"), ("//small/resolve/main/a", "RepoNotFound"),
            ("/acme/small/resolve/refs%2Fpr%2F1/config.json", "RevisionNotFound"),
            ("/acme/small/resolve/seed-/config.json", "RevisionNotFound"),
            ("/acme/small/resolve/seed-+1/config.json", "RevisionNotFound"),
            ("/acme/small/resolve/seed-18446744073709551616/config.json", "RevisionNotFound"),
            ("/acme/small/resolve/seed-1.0/config.json", "RevisionNotFound"),
            ("/acme/small/resolve/42/config.json", "RevisionNotFound"),
            ("/acme/small/resolve/0123456789abcdef0123456789abcdef01234567/config.json", "RevisionNotFound"),
            ("/api/models/acme/small/revision/v1", "RevisionNotFound"),
            ("/api/models/acme/small/tree/v1", "RevisionNotFound"),
            ("/acme/small/resolve/main/vocab.txt", "EntryNotFound"), ("/acme/small/resolve/main/..", "EntryNotFound"),
            ("/acme/small/resolve/main/../config.json", "EntryNotFound"),
            ("/acme/small/resolve/main/..%2Finit.json", "EntryNotFound"),
            ("/acme/small/resolve/main/", "EntryNotFound"),
            ("/acme/small/resolve/main/onnx/model.onnx", "EntryNotFound"),
            ("/acme/small/resolve/main/config.json%0d%0aX:y", "EntryNotFound"),
        ]
    )
    func errors(_ path: String, _ code: String) throws {
        for method in [.get, .head] as [HTTPRequest.Method] {
            let answer = try service().ask(method, path)
            #expect(answer.status == 404, "\(path)")
            #expect(answer["X-Error-Code"] == code, "\(path)")
            #expect(answer["X-Error-Message"]?.utf8.allSatisfy { (0x20..<0x7f).contains($0) } == true)
            #expect((answer["X-Repo-Commit"] != nil) == (code == "EntryNotFound"))
            if method == .get { _ = try answer.fault() }
        }
    }

    @Test("A commit with a changed digit is unknown")
    func brokenCommits() throws {
        let service = try service()
        let commit = try #require(service.ask(.head, "/acme/small/resolve/main/config.json")["X-Repo-Commit"])
        for broken in [
            commit.uppercased(), String(commit.dropLast()), commit + "0", commit.prefix(24) + "+" + commit.suffix(15),
            "0" + commit.dropFirst(),
        ] where broken != commit {
            let answer = service.ask(.head, "/acme/small/resolve/\(encoded(broken))/config.json")
            #expect(answer["X-Error-Code"] == "RevisionNotFound", "\(broken)")
        }
    }

    @Test(
        "Paths with a NUL or broken escapes are malformed",
        arguments: [
            "/acme/small/resolve/main/%00", "/acme/%00/resolve/main/a", "/acme/small/resolve/main/%zz", "/models/a/%ff",
        ]
    )
    func malformed(_ path: String) throws {
        #expect(try service().ask(.get, path).status == 400)
    }

    @Test("The error about an unknown model suggests the nearest name")
    func nearest() throws {
        let fault = try service().ask(.get, "/models/acme/smal").fault()
        #expect(fault.detail == #"unknown model "acme/smal"; did you mean acme/small?"#)
        #expect(fault.allowed.first == "acme/small")
    }

    @Test(
        "The error about a missing or wrong organisation suggests the model's full name",
        arguments: [
            ("/models/small", "small", "acme/small"), ("/models/smal", "smal", "acme/small"),
            ("/models/resnet-18", "resnet-18", "random/resnet18"),
            ("/models/torchvision/resnet18", "torchvision/resnet18", "random/resnet18"),
            ("/api/models/small", "small", "acme/small"), ("/api/models/small/tree/main", "small", "acme/small"),
            ("/api/models/small/revision/main", "small", "acme/small"),
            ("/small/resolve/main/config.json", "small", "acme/small"),
        ]
    )
    func nearestOfAnyOrganisation(_ path: String, _ given: String, _ meant: String) throws {
        let answer = try service().ask(.get, path)
        #expect(answer.status == 404 && answer["X-Error-Code"] == "RepoNotFound")
        #expect(try answer.fault().detail == #"unknown model "\#(given)"; did you mean \#(meant)?"#)
        #expect(try answer.fault().allowed.first == meant)
    }

    @Test("Other paths below /models/ are unknown", arguments: ["/models/", "/models/acme/small/more"])
    func noModel(_ path: String) throws {
        #expect(try service().ask(.get, path).fault().detail.hasPrefix("unknown path "))
    }

    // MARK: Invalid models

    @Test(
        "A model with an impossible request is refused when it is read",
        arguments: [
            ("{", "init.json"), (#"{"method":"normal","shape":[2]}"#, "not a request for a model"),
            (#"{"layers":[{"type":"Linnear"}]}"#, "did you mean Linear"),
            (#"{"layers":[{"type":"Linear","in_features":-1,"out_features":2}]}"#, "is negative"),
            (#"{"tensors":[{"name":"__metadata__","shape":[2],"method":"zeros"}]}"#, "reserved"),
            (#"{"layers":[],"layers":[]}"#, "is given twice"), (#"[]"#, "object"),
        ]
    )
    func broken(_ request: String, _ detail: String) {
        let file = ModelFile(name: "init.json", bytes: Array(request.utf8))
        let error = #expect(throws: InitError.self) {
            try CatalogueModel(name: "a/b", files: [file], limits: ServiceLimits())
        }
        if detail != "init.json" { #expect(error?.detail.contains(detail) == true, "\(String(describing: error))") }
    }

    @Test("A model needs a request, and its files must not have the names of the generated weights")
    func neededFiles() {
        let request = ModelFile(name: "init.json", bytes: Array(Self.request.utf8))
        for files in [
            [], [ModelFile(name: "config.json", bytes: [])],
            [request, ModelFile(name: "model.safetensors", bytes: [])],
            [request, ModelFile(name: "model-00001-of-00002.safetensors", bytes: [])],
            [request, ModelFile(name: "model.safetensors.index.json", bytes: [])],
        ] {
            #expect(throws: InitError.self) { try CatalogueModel(name: "a/b", files: files, limits: ServiceLimits()) }
        }
        for name in ["", ".", "..", ".a", "a/b", "a b", "é", "a\0", String(repeating: "a", count: 97)] {
            #expect(!CatalogueModel.isName(Text(name)), "\(name)")
        }
        for name in ["a", "A.b_c-9", "-", String(repeating: "a", count: 96)] {
            #expect(CatalogueModel.isName(Text(name)))
        }
    }
}
