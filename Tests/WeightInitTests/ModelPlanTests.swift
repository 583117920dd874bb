import ByteText
import SHA2
import Testing

@testable import WeightInit

@Suite("Patterns over names")
struct GlobTests {
    @Test(
        "A star matches any text, a question mark one character",
        arguments: [
            ("", "", true), ("", "a", false), ("*", "", true), ("*", "h.0.weight", true), ("a", "a", true),
            ("a", "ab", false), ("*.weight", "h.0.fc.weight", true), ("*.weight", "weight", false),
            ("h.?.fc.*", "h.1.fc.bias", true), ("h.?.fc.*", "h.10.fc.bias", false), ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false), ("*b", "abab", true), ("**a**", "bab", true), ("?", "é", true),
            ("??", "é", false), ("*?b", "éb", true), ("*??b", "éb", false), ("[a]", "[a]", true), ("[a]", "a", false),
            ("A", "a", false), ("\\*", "\\anything", true),
        ]
    )
    func matching(_ pattern: String, _ name: String, _ expected: Bool) {
        #expect(Glob(Text(pattern)).matches(Text(name)) == expected)
    }

    @Test("A pattern takes at most as many steps as the product of the lengths")
    func steps() {
        let name = [UInt8](repeating: UInt8(ascii: "a"), count: 500)
        let glob = Glob(Text(String(repeating: "*a", count: 50) + "b"))
        var steps = Int.max
        #expect(!glob.matches(name, steps: &steps))
        #expect(Int.max - steps <= 101 * 501)
        steps = 100
        #expect(!Glob("*").matches(name, steps: &steps))
        #expect(steps == 0)
    }
}

@Suite("Models are planned as PyTorch builds them")
struct ModelPlanTests {
    private func layer(_ type: Text, _ arguments: [Text: ParameterValue]) -> ModelEntry.Content {
        .layer(LayerRequest(type: type, arguments: Arguments(arguments)))
    }

    private func linear(_ inputs: Int, _ outputs: Int) -> ModelEntry.Content {
        layer("Linear", ["in_features": .integer(inputs), "out_features": .integer(outputs)])
    }

    private func plan(_ request: ModelRequest, limits: Limits = Limits()) throws -> Plan {
        try Plan(request, seed: Seed(UInt64(1)), limits: limits)
    }

    private func refusal(_ request: ModelRequest, limits: Limits = Limits()) -> InitError? {
        #expect(throws: InitError.self) { try plan(request, limits: limits) }
    }

    @Test(
        "Planning checks for cancellation at each tensor and stops at once",
        arguments: ["layers", "rules", "steps"]
    )
    func cancellation(_ kind: String) throws {
        var request = ModelRequest(
            entries: (0..<100).map { ModelEntry(name: Text($0), content: linear(1, 1)) }
        )
        if kind == "rules" {
            request.rules = Rules([Rule(action: .initialize(method: .zeros, arguments: Arguments()))])
        }
        if kind == "steps" {
            request.steps = (0..<100).map { index in
                Step(.tensors([Text(index) + ".weight"], slice: nil), method: .initialize(.zeros))
            }
        }
        var asked = 0
        _ = try Plan(request, seed: Seed(UInt64(1))) {
            asked += 1
            return false
        }
        // Planning checks when each tensor is built and planned, and for each module or step.
        #expect(asked >= (kind == "layers" ? 400 : 500))
        for last in [1, 150, asked] {
            var count = 0
            let error = #expect(throws: InitError.self) {
                try Plan(request, seed: Seed(UInt64(1))) {
                    count += 1
                    return count == last
                }
            }
            #expect(error?.kind == .cancelled && count == last)
        }
    }

    @Test("A rule's path is its place in the request")
    func rulePaths() throws {
        let zeros = Rule(action: .initialize(method: .zeros, arguments: Arguments()))
        let expected: [(rules: Rules, path: [Text])] = [
            (Rules([zeros]), ["rules", "0"]), (Rules(passes: [[zeros]]), ["rules", "0", "0"]),
            (Rules(passes: [[], [zeros]]), ["rules", "1", "0"]),
        ]
        for (rules, path) in expected {
            let plan = try plan(ModelRequest(entries: [ModelEntry(content: linear(2, 3))], rules: rules))
            #expect(plan.tensors.allSatisfy { $0.rule?.path == path })
        }
        let stranger = Rule(name: Glob("x"), action: .skip)
        var entry = ModelEntry(content: linear(2, 3))
        entry.rules = Rules(passes: [[zeros, stranger]])
        #expect(refusal(ModelRequest(entries: [entry]))?.path == ["layers", "0", "rules", "0", "1"])
    }

    @Test("A rule for a class applies to its subclasses, not to other classes with similar names")
    func types() throws {
        func made(_ type: Text) throws -> [Text] {
            let rule = Rule(type: type, action: .initialize(method: .zeros, arguments: Arguments()))
            let entries = [
                ModelEntry(
                    name: "c",
                    content: layer(
                        "ConvTranspose1d",
                        ["in_channels": .integer(1), "out_channels": .integer(1), "kernel_size": .integer(1)]
                    )
                ),
                ModelEntry(
                    name: "a",
                    content: layer("MultiheadAttention", ["embed_dim": .integer(2), "num_heads": .integer(1)])
                ),
                ModelEntry(name: "n", content: layer("SyncBatchNorm", ["num_features": .integer(1)])),
                ModelEntry(name: "b", content: layer("BatchNorm1d", ["num_features": .integer(1)])),
                ModelEntry(
                    name: "conv",
                    content: layer(
                        "Conv1d",
                        ["in_channels": .integer(1), "out_channels": .integer(1), "kernel_size": .integer(1)]
                    )
                ),
            ]
            return try plan(ModelRequest(entries: entries, rules: Rules([rule]))).tensors
                .filter { $0.rule != nil }.map(\.name)
        }
        #expect(try made("Conv1d") == ["conv.weight", "conv.bias"])
        #expect(try made("_ConvNd") == ["c.weight", "c.bias", "conv.weight", "conv.bias"])
        #expect(try made("Linear") == ["a.out_proj.weight", "a.out_proj.bias"])
        #expect(try made("_BatchNorm") == ["n.weight", "n.bias", "b.weight", "b.bias"])
        #expect(try made("Module").count == 12)
    }

    @Test("A tied tensor with two names is drawn once for each name")
    func ties() throws {
        let normal = Rule(parameter: Glob("weight"), action: .initialize(method: .normal, arguments: Arguments()))
        let entries = ["a", "b"].map { ModelEntry(name: $0, content: linear(4, 4)) }
        var request = ModelRequest(entries: entries, rules: Rules([normal]))
        request.ties = [Tie(name: "a.weight", target: "b.weight")]
        let tied = try plan(request)
        #expect(tied.tensors.map(\.name) == ["a.bias", "b.weight", "b.bias"])
        #expect(tied.ties == [Tie(name: "a.weight", target: "b.weight")])
        // Two Linears of 20 words, then the weight under its first name, then under its second.
        #expect(tied.draw(of: tied.tensors[1])?.start?.word == 20 + 20 + 16)
        #expect(tied.words == 20 + 20 + 16 + 16)
    }

    @Test("The seed of a tensor's own generator is derived from the request's seed and the tensor's name")
    func derivedSeeds() throws {
        // Python: int.from_bytes(hashlib.sha256(b"42:fc.weight").digest()[:4], "little")
        #expect(Seed(UInt64(42)).derived(for: "fc.weight") == 1_628_196_326)
        #expect(Seed(UInt64(42) + (1 << 32)).derived(for: "fc.weight") == 1_628_196_326)
        #expect(try Seed(decimal: "-1").derived(for: "é/~") == 1_311_063_386)
    }

    @Test("Copies are counted before they are made")
    func limits() {
        var limits = Limits()
        limits.maximumTensors = 100
        let inner = LayerRequest(
            type: "RNN",
            arguments: Arguments(["input_size": .integer(1), "hidden_size": .integer(1), "num_layers": .integer(10)])
        )
        func stack(_ count: Int) -> ModelRequest {
            ModelRequest(
                form: .layer,
                entries: [
                    ModelEntry(
                        name: "",
                        content: layer(
                            "TransformerDecoder",
                            ["decoder_layer": .layer(inner), "num_layers": .integer(count)]
                        )
                    )
                ]
            )
        }
        #expect(throws: Never.self) { try plan(stack(1), limits: limits) }
        let error = refusal(stack(2), limits: limits)
        #expect(error?.kind == .tooLarge)
        #expect(error?.limit == "max-tensors")
        limits = Limits()
        limits.maximumLayers = 30
        #expect(refusal(stack(1 << 62), limits: limits)?.limit == "max-layers")
        limits = Limits()
        limits.maximumRuleMatches = 40
        let zeros = Rule(action: .initialize(method: .zeros, arguments: Arguments()))
        let model = ModelRequest(entries: [ModelEntry(content: linear(1, 1))], rules: Rules([zeros]))
        // The rule matches the root and the layer, and initialises two parameters.
        #expect(throws: Never.self) { try plan(model, limits: limits) }
        limits.maximumRuleMatches = 35
        #expect(refusal(model, limits: limits)?.path == ["rules", "0"])
    }
}
