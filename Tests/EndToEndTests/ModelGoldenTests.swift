import Foundation
import GoldenVectors
import Testing
import TestSupport

/// A tensor of a model's vector.
struct ModelTensor: Decodable, Sendable {
    let name: String
    let shape: [Int]
    let dtype: String
    let sha256: String
}

/// A request for a model, and the tensors that PyTorch made for it.
struct ModelVector: Sendable, CustomStringConvertible {
    let description: String
    /// Text of the request in the file, because parsing and writing could change its numbers.
    let request: String
    let tensors: [ModelTensor]

    private struct Line: Decodable {
        let id: String?
        let file: String?
        let tensors: [ModelTensor]
    }

    private static let repository = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func lines(of file: String) -> [Substring] {
        let url = repository.appending(path: "Tests/ModelVectors").appending(path: file)
        return (try? String(contentsOf: url, encoding: .utf8))?.split(separator: "\n") ?? []
    }

    static let rules: [ModelVector] = lines(of: "rules.jsonl").compactMap { line in
        guard let vector = try? JSONDecoder().decode(Line.self, from: Data(line.utf8)),
            let start = line.firstRange(of: #""request": "#)?.upperBound,
            // The vector's own tensors come last; a request can have a list of the same name.
            let end = line.ranges(of: #", "tensors": ["#).last?.lowerBound
        else {
            return nil
        }
        return ModelVector(description: vector.id ?? "", request: String(line[start..<end]), tensors: vector.tensors)
    }

    static let presets: [ModelVector] = lines(of: "presets.jsonl").compactMap { line in
        guard let vector = try? JSONDecoder().decode(Line.self, from: Data(line.utf8)), let file = vector.file,
            let request = try? String(
                contentsOf: repository.appending(path: "examples/models").appending(path: file),
                encoding: .utf8
            )
        else {
            return nil
        }
        return ModelVector(description: file, request: request, tensors: vector.tensors)
    }

    /// Vectors that consist of layers only.
    static let layers: [ModelVector] = GoldenModel.visible.map { model in
        let layers = model.layers.map { layer in
            let arguments = layer.args.sorted { $0.key < $1.key }.map { #","\#($0.key)":\#($0.value.json)"# }
            return #"{"type":"\#(layer.type)"\#(arguments.joined())}"#
        }
        return ModelVector(
            description: model.id,
            request: #"{"seed":\#(model.seed),"dtype":"\#(model.dtype)","layers":[\#(layers.joined(separator: ","))]}"#,
            tensors: model.tensors.map {
                ModelTensor(name: $0.name, shape: $0.shape, dtype: $0.dtype, sha256: $0.sha256)
            }
        )
    }

    /// Steps on one generator, as a list of tensors whose names are their indices.
    static let sequences: [ModelVector] = GoldenCase.visible.filter { $0.kind == .sequence }.map { golden in
        let steps = golden.steps ?? []
        let tensors = steps.map { step in
            let params = step.params.sorted { $0.key < $1.key }.map { #","\#($0.key)":\#($0.value.json)"# }
            return #"{"method":"\#(step.method)","shape":\#(step.shape),"dtype":"\#(step.dtype)"\#(params.joined())}"#
        }
        return ModelVector(
            description: golden.id,
            request: #"{"seed":\#(golden.seed),"tensors":[\#(tensors.joined(separator: ","))]}"#,
            tensors: steps.enumerated().map {
                ModelTensor(name: String($0), shape: $1.shape, dtype: $1.dtype, sha256: $1.sha256)
            }
        )
    }
}

extension GoldenArgument {
    fileprivate var json: String {
        switch self {
        case .none: "null"
        case .boolean(let boolean): String(boolean)
        case .integer(let integer): String(integer)
        case .number(let number): "\(number)"
        case .integers(let integers): "\(integers)"
        }
    }
}

@Suite("Over a socket, PyTorch's models")
struct ModelGoldenTests {
    @Test("Every model vector is tested")
    func completeness() {
        #expect(ModelVector.layers.count == 12)
        #expect(ModelVector.sequences.count == 5)
        #expect(ModelVector.rules.count == 61)
        #expect(ModelVector.presets.count == 6)
    }

    @Test(
        "A model has PyTorch's bytes as safetensors",
        arguments: ModelVector.layers + ModelVector.sequences + ModelVector.rules + ModelVector.presets
    )
    func safetensors(_ vector: ModelVector) throws {
        try withService { caller in
            var file = SafetensorsDigester()
            let head = try caller.stream(post: vector.request, to: "/init", accept: "application/x-safetensors") {
                try file.consume($0)
            }
            try #require(head.status == 200)
            #expect(head["Content-Length"] == String(file.byteCount))
            #expect(head["Content-Type"] == "application/x-safetensors")
            let header = try #require(file.header)
            #expect(header.fileByteCount == file.byteCount)
            try check(vector, header, file.digests)
        }
    }

    /// Checks the tensors of a file. The file holds a tensor with two names once, and its metadata maps the other name
    /// to it.
    private func check(_ vector: ModelVector, _ header: SafetensorsHeader, _ digests: [String: String]) throws {
        let stored = Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
        for expected in vector.tensors {
            let name = stored[expected.name] == nil ? header.metadata[expected.name] ?? "" : expected.name
            let tensor = try #require(stored[name], "\(expected.name)")
            #expect(tensor.shape == expected.shape, "\(expected.name)")
            #expect(tensor.element.rawValue == expected.dtype, "\(expected.name)")
            #expect(digests[name] == expected.sha256, "\(expected.name)")
        }
        let known = Set(vector.tensors.map(\.name))
        #expect(stored.keys.filter { !known.contains($0) } == [])
        let ties = header.metadata.filter { known.contains($0.key) }
        #expect(header.tensors.count + ties.count == known.count)
        // Tensors are ordered by descending item size, then as declared.
        let declared = vector.tensors.map(\.name).filter { stored[$0] != nil }
        let ordered = [8, 4, 2].flatMap { size in declared.filter { stored[$0]?.element.byteCount == size } }
        #expect(header.tensors.map(\.name) == ordered)
    }

    @Test(
        "A model has PyTorch's numbers as JSON and its digests in a summary",
        arguments: ModelVector.layers + ModelVector.sequences
    )
    func json(_ vector: ModelVector) throws {
        try withService { caller in
            let request = vector.request.dropLast()
            let summary = try caller.post("/init", json: request + #","format":"summary"}"#)
            try #require(summary.status == 200, "\(summary.text)")
            let entries = try #require(try summary.json()["tensors"] as? [[String: Any]])
            #expect(entries.map { $0["name"] as? String } == vector.tensors.map(\.name))
            #expect(entries.map { $0["sha256"] as? String } == vector.tensors.map(\.sha256))

            let answer = try caller.post("/init", json: request + #","format":"json"}"#)
            try #require(answer.status == 200, "\(answer.text)")
            let members = try #require(try answer.json()["tensors"] as? [[String: Any]])
            #expect(members.map { $0["shape"] as? [Int] } == vector.tensors.map(\.shape))
            var rest = answer.text[...]
            for tensor in vector.tensors {
                rest = rest[try unwrap(rest.firstRange(of: #","data":"#)).upperBound...]
                let end = rest.firstIndex(of: "}") ?? rest.endIndex
                let element = try #require(Element(rawValue: tensor.dtype))
                let numbers = try NestedNumbers(rest[..<end], shape: tensor.shape, element: element)
                #expect(sha256(numbers.bytes) == tensor.sha256, "\(tensor.name)")
            }
        }
    }

    @Test("Formats that hold one tensor are refused for a model", arguments: ["raw", "npy"])
    func oneTensorFormats(_ format: String) throws {
        let request = #"{"format":"\#(format)","layers":[{"type":"Linear","in_features":2,"out_features":2}]}"#
        try withService { caller in
            let answers = [
                try caller.post("/init", json: request), try caller.get("/init?request=" + percentEncoded(request)),
            ]
            for answer in answers {
                try answer.expectProblem(406)
                #expect(answer.text.contains("safetensors"))
            }
        }
    }

    @Test("GET at the canonical URL has the bytes of POST")
    func contentLocation() throws {
        let vector = try #require(ModelVector.rules.first { $0.description == "tied tensors are one" })
        try withService { caller in
            let accept = ["Accept": "application/x-safetensors"]
            let posted = try caller.post("/init", json: vector.request, accept)
            let got = try caller.get(try unwrap(posted["Content-Location"]))
            #expect(got["ETag"] == posted["ETag"])
            #expect(got.body == posted.body)
        }
    }
}

@Suite("The server refuses impossible models and keeps serving")
struct ModelBadInputTests {
    typealias Row = BadInputTests.Row

    /// A request for layers, given without the brackets of their list.
    private static func layers(_ layers: String, _ rest: String = "") -> String {
        #"{"layers":[\#(layers)]\#(rest)}"#
    }

    private static let linear = #"{"name":"a","type":"Linear","in_features":4,"out_features":4}"#
    private static let billion = "1000000000"
    private static let nested = String(repeating: #"{"layers":["#, count: 17) + String(repeating: "]}", count: 17)
    private static let encoderLayer = #"{"type":"TransformerEncoderLayer","d_model":4,"nhead":2}"#

    static let rows: [Row] = [
        Row(layers(linear + "," + linear), 400, "name"),
        Row(layers(#"{"type":"Linaer","in_features":4,"out_features":4}"#), 400, "Linear"),
        Row(layers(#"{"in_features":4,"out_features":4}"#), 400, "type"),
        Row(layers(#"{"type":"Linear","in_featurs":4,"out_features":4}"#), 400, "in_features"),
        Row(layers(#"{"type":"Linear","in_features":4}"#), 400, "out_features"),
        Row(layers(#"{"type":"Linear","in_features":"4","out_features":4}"#), 400, "integer"),
        Row(layers(#"{"type":"Linear","in_features":4,"out_features":4,"bias":1}"#), 400, "true or false"),
        Row(layers(#"{"type":"Linear","in_features":4.0,"out_features":4}"#), 400, "integer"),
        Row(layers(#"{"type":"Linear","in_features":-1,"out_features":4}"#), 422, "in_features"),
        Row(
            layers(#"{"type":"Linear","in_features":9223372036854775807,"out_features":9223372036854775807}"#),
            413,
            ""
        ),
        Row(layers(#"{"type":"Conv2d","in_channels":4,"out_channels":6,"kernel_size":3,"groups":4}"#), 422, "groups"),
        Row(layers(#"{"type":"Conv2d","in_channels":4,"out_channels":6,"kernel_size":3,"groups":0}"#), 422, "groups"),
        Row(layers(#"{"type":"Conv2d","in_channels":4,"out_channels":6,"kernel_size":[3,3,3]}"#), 400, "kernel_size"),
        Row(layers(#"{"type":"GroupNorm","num_groups":3,"num_channels":4}"#), 422, "groups"),
        Row(layers(#"{"type":"Embedding","num_embeddings":4,"embedding_dim":2,"padding_idx":4}"#), 422, "padding_idx"),
        Row(layers(#"{"type":"Embedding","num_embeddings":4,"embedding_dim":2,"padding_idx":-5}"#), 422, "padding_idx"),
        Row(layers(#"{"type":"LSTM","input_size":4,"hidden_size":3,"proj_size":3}"#), 422, "proj_size"),
        Row(layers(#"{"type":"MultiheadAttention","embed_dim":5,"num_heads":2}"#), 422, "embed_dim"),
        Row(layers(#"{"type":"MultiheadAttention","embed_dim":4,"num_heads":0}"#), 422, "num_heads"),
        Row(layers(linear, #","tie":{"a.weight":"b.weight"}"#), 400, "b.weight"),
        Row(layers(linear, #","tie":{"b.weight":"a.weight"}"#), 400, "b.weight"),
        Row(layers(linear, #","tie":{"a.weight":"a.bias"}"#), 422, "a.bias"),
        Row(layers(linear, #","tie":{"a.weight":"a.weight"}"#), 400, "a.weight"),
        Row(layers(linear, #","tie":["a.weight","a.bias"]"#), 400, "object"),
        Row(layers(linear, #","rules":[{"type":"Conv2d","method":"zeros"}]"#), 400, "matches no parameter"),
        Row(layers(linear, #","rules":[{"type":"Linea","method":"zeros"}]"#), 400, "Linear"),
        Row(layers(linear, #","rules":[{"name":"a.*","method":"zero"}]"#), 400, "zeros"),
        Row(layers(linear, #","rules":[{"name":"a.*","method":"zeros","std":1}]"#), 400, "std"),
        Row(layers(linear, #","rules":[{"name":"*.bias","method":"xavier_normal"}]"#), 422, "dimensions"),
        Row(layers(linear, #","rules":{"name":"*"}"#), 400, "array"),
        Row(layers(linear, #","seeding":"per_layer""#), 400, "per_tensor"),
        Row(layers(linear, #","method":"zeros""#), 400, "method"),
        Row(layers(linear, #","tensors":[]"#), 400, "tensors"),
        Row(#"{"layer":[]}"#, 400, "layer"),
        Row(#"{"layers":{}}"#, 400, "array"),
        Row(#"{"layers":[3]}"#, 400, ""),
        Row(#"{"tensors":[{"name":"a","method":"zeros"}]}"#, 400, "shape"),
        Row(
            #"{"tensors":[{"name":"a","method":"zeros","shape":[1]},{"name":"a","method":"ones","shape":[1]}]}"#,
            400,
            "name"
        ),
        // Limits, checked before anything is built.
        Row(
            layers(#"{"name":"r","repeat":\#(billion),"type":"Linear","in_features":1,"out_features":1}"#),
            413,
            "--max-"
        ),
        Row(layers(#"{"name":"r","repeat":\#(billion),"type":"ReLU"}"#), 413, "--max-layers"),
        Row(
            layers(#"{"name":"r","repeat":9223372036854775807,"layers":[{"type":"ReLU"},{"type":"ReLU"}]}"#),
            413,
            "--max-"
        ),
        Row(
            layers(
                #"{"repeat":1000,"layers":[{"repeat":1000,"layers":[{"repeat":1000,"layers":[{"type":"ReLU"}]}]}]}"#
            ),
            413,
            "--max-layers"
        ),
        Row(layers(#"{"name":"r","repeat":-1,"type":"ReLU"}"#), 400, "negative"),
        Row(layers(#"{"type":"LSTM","input_size":1,"hidden_size":1,"num_layers":\#(billion)}"#), 413, "--max-"),
        Row(
            layers(#"{"type":"TransformerEncoder","num_layers":\#(billion),"encoder_layer":\#(encoderLayer)}"#),
            413,
            "--max-"
        ),
        Row(
            layers(#"{"type":"Transformer","d_model":4,"nhead":2,"num_encoder_layers":\#(billion)}"#),
            413,
            "--max-"
        ),
        Row(
            layers(#"{"type":"Transformer","d_model":4,"nhead":2,"num_decoder_layers":9223372036854775807}"#),
            413,
            "--max-"
        ),
        Row(#"{"layers":[\#(nested)]}"#, 413, "--max-nesting"),
        Row(
            layers(
                #"{"name":"\#(String(repeating: "n", count: 500))","repeat":9000,"type":"BatchNorm1d","num_features":1}"#
            ),
            413,
            "--max-name-bytes"
        ),
        Row(
            layers(
                #"{"repeat":4000,"type":"Linear","in_features":1,"out_features":1}"#,
                #","rules":[\#(Array(repeating: #"{"method":"zeros"}"#, count: 2000).joined(separator: ","))]"#
            ),
            413,
            "--max-rule-matches"
        ),
    ]

    @Test("An impossible model is refused, and the error names the member", arguments: rows)
    func body(_ row: Row) throws {
        try withService { caller in
            try row.expectRefused(try caller.post("/init", json: row.request))
            #expect(try caller.get("/livez").status == 200)
            try row.expectRefused(try caller.post("/explain", json: row.request))
            #expect(try caller.get("/livez").status == 200)
        }
    }

    @Test("A reserved name is refused in safetensors")
    func reservedName() throws {
        let tensor = #"{"name":"__metadata__","method":"zeros","shape":[1]}"#
        try withService { caller in
            let answer = try caller.post("/init", json: #"{"tensors":[\#(tensor)],"format":"safetensors"}"#)
            try answer.expectProblem(422)
            #expect(answer.text.contains("reserved"))
            let explained = try caller.post("/explain", json: #"{"tensors":[\#(tensor)],"format":"safetensors"}"#)
            #expect(explained.status == 422 && explained.text == answer.text)
            for path in ["/init", "/explain"] {
                #expect(try caller.post(path, json: #"{"tensors":[\#(tensor)],"format":"json"}"#).status == 200)
            }
        }
    }

    @Test("A hostile pattern is refused in time")
    func glob() throws {
        let name = String(repeating: "a", count: 300_000)
        let patterns = [
            "*" + String(repeating: "a", count: 150_000) + "b", String(repeating: "*a", count: 75_000) + "b",
        ]
        try withService { caller in
            for pattern in patterns {
                let request = Self.layers(
                    #"{"name":"\#(name)","type":"PReLU"}"#,
                    #","rules":[{"name":"\#(pattern)","method":"zeros"}]"#
                )
                // The test fails if the answer takes longer than the client waits.
                let answer = try caller.post("/init", json: request)
                #expect((400..<500).contains(answer.status))
                #expect(try caller.get("/livez").status == 200)
            }
        }
    }

    @Test("A request too long for a URL is answered without one", arguments: [100, 200, 4000])
    func longRequests(_ count: Int) throws {
        try withService { caller in
            let tensors = (0..<count).map { #"{"name":"tensor number \#($0)","shape":[2],"method":"normal"}"# }
            let json = #"{"tensors":[\#(tensors.joined(separator: ","))],"format":"safetensors"}"#
            let answer = try caller.post("/init", json: json)
            #expect(answer.status == 200 && answer.body.count > count * 8)
            let location = answer["Content-Location"]
            #expect((location != nil) == (count == 100))
            if let location { #expect(try caller.get(location).body == answer.body) }
        }
    }
}
