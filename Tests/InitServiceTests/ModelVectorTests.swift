import SHA2
import Foundation
import InitService
import Testing

/// A line of `ModelVectors`: a request, and the tensors that PyTorch made for it.
struct ModelVector: Sendable, CustomTestStringConvertible {
    struct Tensor: Decodable, Sendable {
        let name: String
        let shape: [Int]
        let dtype: String
        let sha256: String
    }

    private struct Line: Decodable {
        let id: String
        let tensors: [Tensor]
    }

    let id: String
    /// The request's text in the file.
    let request: String
    let tensors: [Tensor]

    var testDescription: String { id }

    static func all(_ file: String) throws -> [ModelVector] {
        try modelVectorLines(file).map { line in
            let fields = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
            let start = try #require(line.range(of: #""request": "#))
            let end = try #require(line.range(of: #", "tensors": ["#, options: .backwards))
            return ModelVector(
                id: fields.id,
                request: String(line[start.upperBound..<end.lowerBound]),
                tensors: fields.tensors
            )
        }
    }
}

func modelVectorLines(_ file: String) throws -> [String] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../ModelVectors")
    return try String(contentsOf: folder.appending(path: file), encoding: .utf8).split(separator: "\n").map(String.init)
}

/// Content of a safetensors file.
struct SafetensorsFile {
    var metadata: [String: String] = [:]
    var tensors: [String: (dtype: String, shape: [Int], bytes: ArraySlice<UInt8>)] = [:]

    init(_ bytes: [UInt8]) throws {
        let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try #require(
            try JSONSerialization.jsonObject(with: Data(bytes[8..<8 + length])) as? [String: [String: Any]]
        )
        for (name, entry) in header {
            guard name != "__metadata__" else {
                metadata = try #require(entry as? [String: String])
                continue
            }
            let offsets = try #require(entry["data_offsets"] as? [Int])
            tensors[name] = (
                try #require(entry["dtype"] as? String), try #require(entry["shape"] as? [Int]),
                bytes[8 + length + offsets[0]..<8 + length + offsets[1]]
            )
        }
    }
}

@Suite("Models have PyTorch's state dicts")
struct ModelVectorTests {
    let service = InitService()

    private func check(_ vector: ModelVector) throws {
        let answer = service.post("/init", vector.request, ["Accept": "application/x-safetensors"])
        try #require(answer.status == 200, "\(answer.text)")
        let file = try SafetensorsFile(answer.body)
        let names = ["float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64"]
        for expected in vector.tensors {
            // The file has only one of the names of a tied tensor.
            let tensor = try #require(
                file.tensors[expected.name] ?? file.metadata[expected.name].flatMap { file.tensors[$0] }
            )
            #expect(tensor.shape == expected.shape, "\(expected.name)")
            #expect(tensor.dtype == names[expected.dtype], "\(expected.name)")
            #expect(SHA256.hash(data: tensor.bytes).description == expected.sha256, "\(expected.name)")
        }
        #expect(Set(vector.tensors.map(\.name)).isSuperset(of: file.tensors.keys))
    }

    @Test("Rules draw as PyTorch does from one generator", arguments: try ModelVector.all("rules.jsonl"))
    func rules(_ vector: ModelVector) throws {
        try check(vector)
    }

    private struct Preset: Decodable {
        let file: String
        let tensors: [ModelVector.Tensor]
    }

    @Test("Presets have the names and shapes of their models, and small presets have PyTorch's numbers")
    func presets() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../examples/models")
        for line in try modelVectorLines("presets.jsonl") {
            let preset = try JSONDecoder().decode(Preset.self, from: Data(line.utf8))
            let request = try String(contentsOf: folder.appending(path: preset.file), encoding: .utf8)
            let plan = try service.post("/explain", request).json()
            let tensors = try #require(plan["tensors"] as? [[String: Any]])
            let ties = (try JSONSerialization.jsonObject(with: Data(request.utf8)) as? [String: Any])?["tie"]
            let expected = preset.tensors.filter { (ties as? [String: String])?[$0.name] == nil }
            #expect(tensors.map { $0["name"] as? String } == expected.map(\.name), "\(preset.file)")
            #expect(tensors.map { $0["shape"] as? [Int] } == expected.map(\.shape), "\(preset.file)")
            if plan["bytes"] as? Int ?? .max < 1 << 24 {
                try check(ModelVector(id: preset.file, request: request, tensors: preset.tensors))
            }
        }
    }

    @Test(
        "Every tensor has its own generator with per_tensor seeding",
        arguments: try ModelVector.all("per_tensor.jsonl")
    )
    func perTensor(_ vector: ModelVector) throws {
        try check(vector)
    }
}

@Suite("Layers accept PyTorch's arguments")
struct LayerDecisionTests {
    let service = InitService()

    /// Arguments of a constructor of PyTorch, and the resulting state dict, or none if PyTorch refuses the arguments.
    private struct Decision {
        var type: String
        /// The line, for a message.
        var text: String
        var request: Data
        /// `name:sizes` in order; `nil` if PyTorch refuses the arguments.
        var state: String?

        init(_ line: String) throws {
            let fields = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [Any])
            let type = try #require(fields[0] as? String)
            var layer = try #require(fields[1] as? [String: Any])
            layer["type"] = type
            request = try JSONSerialization.data(withJSONObject: ["layer": layer])
            (self.type, text, state) = (type, line, fields[2] as? String)
        }
    }

    @Test("Layers have PyTorch's state dict, or refuse the arguments that PyTorch refuses", arguments: try layerTypes())
    func decisions(_ type: String) throws {
        for line in try Self.lines() where line.hasPrefix("[\"\(type)\",") {
            let decision = try Decision(line)
            let answer = service.post("/explain", String(decoding: decision.request, as: UTF8.self))
            guard let state = decision.state else {
                #expect([400, 413, 422].contains(answer.status), "taken: \(line)")
                continue
            }
            guard answer.status == 200 else {
                Issue.record("refused: \(line) \(answer.text)")
                continue
            }
            let tensors = try #require(try answer.json()["tensors"] as? [[String: Any]])
            let found = tensors.map { tensor in
                let shape = (tensor["shape"] as? [Int] ?? []).map(String.init).joined(separator: ",")
                return "\(tensor["name"] as? String ?? ""):\(shape)"
            }
            #expect(found.joined(separator: " ") == state, "\(line)")
        }
    }

    private static func lines() throws -> [String] {
        if let path = ProcessInfo.processInfo.environment["LAYER_DECISIONS"] {
            return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
        }
        return try modelVectorLines("layer_decisions.jsonl")
    }

    private static func layerTypes() throws -> [String] {
        Set(try lines().compactMap { $0.split(separator: "\"").dropFirst().first.map(String.init) }).sorted()
    }
}
