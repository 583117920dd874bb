import HTTPTypes
import InitAPI
import InitService
import Testing
import WeightInit

@Suite("Errors in models name the place of the fault")
struct BadModelTests {
    typealias Row = Faulty

    private func check(_ row: Row, _ service: InitService = InitService()) throws {
        for answer in [
            service.post("/init", row.request), service.post("/explain", row.request),
            service.ask(.get, "/init?request=" + encoded(row.request)),
        ] {
            #expect(answer.status == row.status, "\(answer.text)")
            let fault = try answer.fault()
            #expect(fault.pointer == row.place, "\(fault.detail)")
            #expect(fault.detail.contains(row.detail), "\(fault.detail)")
            #expect(fault.detail.utf8.count < 400)
        }
    }

    private static func layers(_ entries: String, _ members: String = "") -> String {
        #"{"layers":[\#(entries)]\#(members)}"#
    }

    private static func linear(_ name: String, _ inputs: Int = 2, _ outputs: Int = 3) -> String {
        #"{"name":"\#(name)","type":"Linear","in_features":\#(inputs),"out_features":\#(outputs)}"#
    }

    @Test(
        "Errors in forms and entries name their place",
        arguments: [
            Row(#"{"layers":[],"tensors":[]}"#, 400, "/tensors", "cannot be combined with layers"),
            Row(#"{"layer":{"type":"ReLU"},"layers":[]}"#, 400, "/layer", "cannot be combined with layers"),
            Row(#"{"layers":{}}"#, 400, "/layers", "must be an array of layers, found an object"),
            Row(#"{"tensors":1}"#, 400, "/tensors", "must be an array of tensors"),
            Row(#"{"layer":[]}"#, 400, "/layer", "must be a layer"),
            Row(#"{"layers":[],"method":"normal"}"#, 400, "/method", "unknown member"),
            Row(#"{"layers":[],"default":false}"#, 400, "/default", "did you mean defaults?"),
            Row(#"{"tensors":[],"defaults":false}"#, 400, "/defaults", "unknown member"),
            Row(#"{"layers":[],"seeding":"per tensor"}"#, 400, "/seeding", "did you mean per_tensor?"),
            Row(#"{"layers":[],"seed":1.5}"#, 400, "/seed", "not an integer"),
            Row(layers("3"), 400, "/layers/0", "a layer or a block of layers, found 3"),
            Row(layers("{}"), 400, "/layers/0/type", "is missing"),
            Row(layers(#"{"type":"Linaer"}"#), 400, "/layers/0/type", "did you mean Linear?"),
            Row(layers(#"{"type":"Linear","layers":[]}"#), 400, "/layers/0/type", "cannot be combined with layers"),
            Row(layers(#"{"name":"","type":"ReLU"}"#), 400, "/layers/0/name", "is empty"),
            Row(layers(#"{"name":1,"type":"ReLU"}"#), 400, "/layers/0/name", "must be a string"),
            Row(layers(#"{"type":"ReLU","repeat":1.0}"#), 400, "/layers/0/repeat", "integer"),
            Row(layers(#"{"type":"ReLU","repeat":-1}"#), 400, "/layers/0/repeat", "negative"),
            Row(layers(#"{"layers":[{"type":"ReLU"},{"type":"RelU"}]}"#), 400, "/layers/0/layers/1/type", "ReLU?"),
            Row(layers(#"{"layers":[],"dtype":"int8"}"#), 400, "/layers/0/dtype", "unknown value"),
            Row(layers(#"{"type":"Parameter"}"#), 400, "/layers/0/shape", "is missing"),
            Row(layers(#"{"type":"Parameter","shape":[2],"std":1}"#), 400, "/layers/0/std", "not a parameter of zeros"),
            Row(layers(#"{"type":"Parameter","shape":[2],"repeat":2}"#), 400, "/layers/0/repeat", "unknown member"),
            Row(#"{"tensors":[{"name":"a","shape":[2]}]}"#, 400, "/tensors/0/method", "is missing"),
            Row(#"{"tensors":[{"shape":[2],"method":"normal","sdt":1}]}"#, 400, "/tensors/0/sdt", "did you mean std?"),
            Row(#"{"tensors":[{"shape":[2],"method":"xavier_normal"}]}"#, 422, "/tensors/0/shape", "2 dimensions"),
        ]
    )
    func entries(_ row: Row) throws {
        try check(row)
    }

    @Test(
        "Duplicate names are refused",
        arguments: [
            Row(layers(linear("a") + "," + linear("a")), 400, "/layers/1/name", "an earlier entry has the name"),
            Row(layers(linear("1") + "," + #"{"type":"ReLU"}"#), 400, "/layers/1/name", #""1""#),
            Row(
                layers(#"{"name":"a","layers":[\#(linear("b"))]},"# + linear("a.b")),
                400,
                "/layers",
                #"two tensors have the name "a.b.weight""#
            ),
            Row(
                layers(#"{"name":"h{}","repeat":2,"layers":[\#(linear("a"))]},"# + linear("h1.a")),
                400,
                "/layers",
                #""h1.a.weight""#
            ),
            Row(
                #"{"tensors":[{"shape":[],"method":"ones"},{"name":"0","shape":[],"method":"ones"}]}"#,
                400,
                "/tensors/1/name",
                "an earlier entry has the name"
            ),
        ]
    )
    func duplicates(_ row: Row) throws {
        try check(row)
    }

    @Test(
        "Errors in arguments name their place",
        arguments: [
            Row(layers(#"{"type":"Linear","in_features":1}"#), 400, "/layers/0/out_features", "is missing"),
            Row(
                layers(#"{"type":"Linear","in_features":1,"out_featurs":1}"#),
                400,
                "/layers/0/out_featurs",
                "did you mean out_features?"
            ),
            Row(#"{"layer":{"type":"LayerNorm","normalized_shape":"3"}}"#, 400, "/layer/normalized_shape", "integer"),
            Row(
                #"{"layer":{"type":"Linear","in_features":"1","out_features":1}}"#,
                400,
                "/layer/in_features",
                #"must be an integer, found the string "1""#
            ),
            Row(
                #"{"layer":{"type":"Linear","in_features":-1,"out_features":1}}"#,
                422,
                "/layer/in_features",
                "-1 is negative"
            ),
            Row(
                #"{"layer":{"type":"Conv2d","in_channels":1,"out_channels":1,"kernel_size":[2,-3]}}"#,
                422,
                "/layer/kernel_size",
                "-3 is negative"
            ),
            Row(
                #"{"layer":{"type":"Linear","in_features":4611686018427387904,"out_features":4}}"#,
                413,
                "/layer/out_features",
                "2^63"
            ),
            Row(
                #"{"layer":{"type":"Conv2d","in_channels":6,"out_channels":4,"kernel_size":3,"groups":4}}"#,
                422,
                "/layer/groups",
                "4 groups do not divide in_channels = 6"
            ),
            Row(
                #"{"layer":{"type":"ConvTranspose1d","in_channels":4,"out_channels":6,"kernel_size":3,"groups":4}}"#,
                422,
                "/layer/groups",
                "out_channels = 6"
            ),
            Row(
                #"{"layer":{"type":"Conv1d","in_channels":6,"out_channels":4,"kernel_size":3,"groups":0}}"#,
                422,
                "/layer/groups",
                "at least 1"
            ),
            Row(
                #"{"layer":{"type":"Conv1d","in_channels":1,"out_channels":1,"kernel_size":3,"padding":"sane"}}"#,
                400,
                "/layer/padding",
                "did you mean same?"
            ),
            Row(
                #"{"layer":{"type":"Embedding","num_embeddings":5,"embedding_dim":2,"padding_idx":5}}"#,
                422,
                "/layer/padding_idx",
                "5 is not a row of 5"
            ),
            Row(
                #"{"layer":{"type":"EmbeddingBag","num_embeddings":5,"embedding_dim":2,"padding_idx":-6}}"#,
                422,
                "/layer/padding_idx",
                "-6 is not a row of 5"
            ),
            Row(
                #"{"layer":{"type":"LSTM","input_size":5,"hidden_size":2,"proj_size":2}}"#,
                422,
                "/layer/proj_size",
                "smaller than hidden_size = 2"
            ),
            Row(
                #"{"layer":{"type":"GRU","input_size":5,"hidden_size":2,"proj_size":1}}"#,
                400,
                "/layer/proj_size",
                "unknown member"
            ),
            Row(
                #"{"layer":{"type":"RNN","input_size":0,"hidden_size":2}}"#,
                422,
                "/layer/input_size",
                "at least 1"
            ),
            Row(
                #"{"layer":{"type":"MultiheadAttention","embed_dim":10,"num_heads":4}}"#,
                422,
                "/layer/num_heads",
                "4 heads do not divide embed_dim = 10"
            ),
            Row(
                #"{"layer":{"type":"Transformer","d_model":10,"nhead":4}}"#,
                422,
                "/layer/nhead",
                "4 heads do not divide"
            ),
            Row(
                #"""
                {"layers":[{"type":"TransformerEncoder","num_layers":1,
                 "encoder_layer":{"type":"TransformerEncoderLayer","d_model":10,"nhead":4}}]}
                """#,
                422,
                "/layers/0/encoder_layer/nhead",
                "4 heads do not divide"
            ),
            Row(
                #"{"layer":{"type":"GroupNorm","num_groups":4,"num_channels":6}}"#,
                422,
                "/layer/num_channels",
                "4 groups do not divide 6 channels"
            ),
            Row(#"{"layer":{"type":"Dropout","p":1.5}}"#, 422, "/layer/p", "between 0 and 1"),
            Row(#"{"layer":{"type":"Hardtanh","min_val":2}}"#, 422, "/layer/max_val", "min_val = 2"),
            Row(
                #"{"dtype":"float16","layer":{"type":"PReLU","num_parameters":2,"init":1e5}}"#,
                422,
                "/layer/init",
                "float16"
            ),
        ]
    )
    func arguments(_ row: Row) throws {
        try check(row)
    }

    private static let pair = linear("a", 2, 2) + "," + linear("b", 2, 2)

    @Test(
        "Errors in rules name their place",
        arguments: [
            Row(layers(pair, #","rules":{}"#), 400, "/rules", "must be an array of rules"),
            Row(layers(pair, #","rules":[1]"#), 400, "/rules/0", "must be a rule"),
            Row(layers(pair, #","rules":[{"type":"Linear"}]"#), 400, "/rules/0/method", "is missing"),
            Row(layers(pair, #","rules":[[],{"method":"zeros"}]"#), 400, "/rules/1", "must be an array of rules"),
            Row(layers(pair, #","rules":[{"method":"normel"}]"#), 400, "/rules/0/method", "did you mean normal?"),
            Row(layers(pair, #","rules":[{"method":"normal","a":1}]"#), 400, "/rules/0/a", "not a parameter of normal"),
            Row(layers(pair, #","rules":[{"method":"skip","std":1}]"#), 400, "/rules/0/std", "unknown member"),
            Row(layers(pair, #","rules":[{"method":"zeros","typ":"Linear"}]"#), 400, "/rules/0/typ", "type?"),
            Row(
                layers(pair, #","rules":[{"method":"zeros","type":"Lineal"}]"#),
                400,
                "/rules/0/type",
                "did you mean Linear?"
            ),
            Row(
                layers(pair, #","rules":[{"method":"zeros"},{"name":"c.*","method":"zeros"}]"#),
                400,
                "/rules/1",
                "matches no parameter"
            ),
            Row(
                layers(pair, #","rules":[{"type":"Conv2d","method":"skip"}]"#),
                400,
                "/rules/0",
                "matches no parameter"
            ),
            Row(
                layers(
                    pair,
                    #","rules":[[{"method":"zeros"}],[{"method":"ones"},{"parameter":"a.*","method":"ones"}]]"#
                ),
                400,
                "/rules/1/1",
                "matches no parameter"
            ),
            Row(
                layers(pair, #","rules":[[{"parameter":"wait","method":"ones"}]]"#),
                400,
                "/rules/0/0",
                "matches no parameter"
            ),
            // The rules of an entry match names relative to the entry.
            Row(
                layers(#"{"name":"h","layers":[\#(pair)],"rules":[{"name":"h.a.*","method":"zeros"}]}"#),
                400,
                "/layers/0/rules/0",
                "matches no parameter"
            ),
            Row(
                layers(pair, #","rules":[{"parameter":"weight","method":"zeros"},{"method":"eye"}]"#),
                422,
                "/rules/1",
                #"2 dimensions, [2] has 1 (for "a.bias")"#
            ),
            Row(
                layers(pair, #","rules":[{"parameter":"weight","method":"sparse","sparsity":"nan"}]"#),
                422,
                "/rules/0/sparsity",
                #"(for "a.weight")"#
            ),
            Row(layers(#"{"type":"ReLU"}"#, #","rules":[{"method":"zeros"}]"#), 400, "/rules/0", "no parameter"),
        ]
    )
    func rules(_ row: Row) throws {
        try check(row)
    }

    @Test(
        "The error about a pattern that matches nothing offers the nearest names",
        arguments: [
            (#""rules":[{"name":"a.weigth","method":"zeros"}]"#, "parameter; did you mean a.weight?", "a.weight"),
            (#""rules":[{"name":"*.wieght","method":"zeros"}]"#, "parameter; did you mean a.weight?", "a.weight"),
            (#""rules":[{"parameter":"bais","method":"zeros"}]"#, "parameter; did you mean bias?", "bias"),
            (#""rules":[{"parameter":"WEIGHT","method":"zeros"}]"#, "parameter; did you mean weight?", "weight"),
            (#""rules":[{"name":"nothing like it","method":"zeros"}]"#, "parameter", "a.weight"),
            // The name is right, and the other pattern is not.
            (
                #""rules":[{"name":"a.*","parameter":"wegiht","method":"ones"}]"#,
                "parameter; did you mean weight?",
                "weight"
            ),
            // Both patterns match something.
            (#""rules":[{"name":"a.weight","parameter":"bias","method":"zeros"}]"#, "parameter", nil),
            (#""rules":[{"name":"a.*","type":"Conv2d","method":"zeros"}]"#, "parameter", nil),
            (#""include":["b.*","b.weigth"]"#, "tensor; did you mean b.weight?", "b.weight"),
            (#""include":["*.Weigth"]"#, "tensor; did you mean a.weight?", "a.weight"),
        ]
    )
    func near(_ members: String, _ detail: String, _ nearest: String?) throws {
        let fault = try InitService().post("/init", Self.layers(Self.pair, "," + members)).fault()
        #expect(fault.detail.hasSuffix(": matches no \(detail)"), "\(fault.detail)")
        #expect(fault.allowed.first == nearest)
    }

    @Test("The error offers a few of many names, and a pattern longer than the names costs no more")
    func manyNames() throws {
        var limits = ServiceLimits()
        limits.maximumBodyBytes = 1 << 24
        let service = InitService(limits: limits)
        let entries = #"{"name":"block{}","repeat":4000,"layers":[\#(Self.linear("fc", 1, 1))]}"#
        let pattern = String(repeating: "*a", count: 1 << 19)
        let clock = ContinuousClock()
        for members in [#","include":["\#(pattern)"]"#, #","rules":[{"name":"\#(pattern)","method":"zeros"}]"#] {
            var answer: Answer?
            let time = clock.measure { answer = service.post("/explain", Self.layers(entries, members)) }
            let fault = try #require(try answer?.fault())
            #expect(fault.detail.contains("matches no") && fault.detail.utf8.count < 300)
            #expect(fault.allowed.count == 8)
            #expect(time < .seconds(10))
        }
    }

    @Test("A rule that skips, or that is never the first to match, is valid")
    func shadowed() {
        let service = InitService()
        for rules in [
            #"[{"method":"zeros"},{"type":"Linear","parameter":"weight","method":"ones"}]"#,
            #"[{"name":"a.*","method":"skip"},{"method":"normal"},{"name":"b.bias","method":"eye"}]"#,
            #"[{"type":"Module","method":"zeros"}]"#, "[]", "[[]]",
            #"[[{"name":"?.bias","method":"zeros"}],[],[{"name":"**","method":"skip"}]]"#,
        ] {
            let answer = service.post("/explain", Self.layers(Self.pair, #","rules":"# + rules))
            #expect(answer.status == 200, "\(answer.text)")
        }
    }

    @Test(
        "Errors in ties name their place",
        arguments: [
            Row(layers(pair, #","tie":[]"#), 400, "/tie", "an object of names"),
            Row(layers(pair, #","tie":{"a.weight":1}"#), 400, "/tie/a.weight", "must be a string"),
            Row(
                layers(pair, #","tie":{"a.weigth":"b.weight"}"#),
                400,
                "/tie/a.weigth",
                "did you mean a.weight?"
            ),
            Row(
                layers(pair, #","tie":{"a.weight":"c.weight"}"#),
                400,
                "/tie/a.weight",
                #"unknown parameter "c.weight""#
            ),
            Row(layers(pair, #","tie":{"a.weight":"a.weight"}"#), 400, "/tie/a.weight", "is itself a tied name"),
            Row(
                layers(pair, #","tie":{"a.weight":"b.bias"}"#),
                422,
                "/tie/a.weight",
                #"[2, 2] float32 cannot be tied to "b.bias", which is [2] float32"#
            ),
            Row(
                layers(pair + "," + linear("c", 2, 2), #","tie":{"a.weight":"b.weight","b.weight":"c.weight"}"#),
                400,
                "/tie/b.weight",
                "also a target"
            ),
            Row(
                layers(pair + "," + linear("c", 2, 2), #","tie":{"b.weight":"c.weight","c.weight":"a.weight"}"#),
                400,
                "/tie/c.weight",
                "also a target"
            ),
            Row(
                layers(pair, #","tie":{"a.weight":"b.weight","b.weight":"a.weight"}"#),
                400,
                "/tie/b.weight",
                "is itself a tied name"
            ),
            Row(
                layers(
                    #"{"name":"a","type":"BatchNorm1d","num_features":2},{"name":"b","type":"BatchNorm1d","num_features":2}"#,
                    #","tie":{"a.running_mean":"b.running_mean"}"#
                ),
                400,
                "/tie/a.running_mean",
                "unknown parameter"
            ),
            Row(
                layers(
                    linear("a", 2, 2) + #",{"name":"b","dtype":"float64","layers":[\#(linear("c", 2, 2))]}"#,
                    #","tie":{"a.bias":"b.c.bias"}"#
                ),
                422,
                "/tie/a.bias",
                "float64"
            ),
        ]
    )
    func ties(_ row: Row) throws {
        try check(row)
    }

    // MARK: Limits

    private static let encoder = #"{"type":"TransformerEncoderLayer","d_model":2,"nhead":1,"dim_feedforward":1}"#

    @Test(
        "Limits are checked before anything is built",
        arguments: [
            Row(layers(#"{"type":"ReLU","repeat":9223372036854775807}"#), 413, "/layers/0/repeat", "--max-layers"),
            Row(
                layers(#"{"repeat":500,"layers":[{"repeat":50,"layers":[{"type":"ReLU"},{"type":"ReLU"}]}]}"#),
                413,
                "/layers/0/repeat",
                "--max-layers"
            ),
            Row(layers(#"{"repeat":1000000000,"layers":[]}"#), 413, "/layers/0/repeat", "--max-layers"),
            Row(
                #"{"layer":{"type":"LSTM","input_size":1,"hidden_size":1,"num_layers":9223372036854775807}}"#,
                413,
                "/layer",
                "--max-layers"
            ),
            Row(
                #"{"layer":{"type":"Transformer","d_model":1,"nhead":1,"num_encoder_layers":9223372036854775807}}"#,
                413,
                "/layer",
                "--max-layers"
            ),
            Row(
                #"""
                {"layer":{"type":"TransformerEncoder","num_layers":30000,"encoder_layer":
                 {"type":"TransformerEncoder","num_layers":30000,"encoder_layer":\#(encoder)}}}
                """#,
                413,
                "/layer/encoder_layer",
                "--max-layers"
            ),
            Row(
                layers(
                    #"{"repeat":40,"layers":[{"type":"Transformer","d_model":1,"nhead":1,"num_encoder_layers":40}]}"#
                ),
                413,
                "/layers/0/repeat",
                "--max-layers"
            ),
            // Each copy counts as one layer, so that the limit on tensors applies, and not the limit on layers.
            Row(
                #"""
                {"layer":{"type":"TransformerDecoder","num_layers":4000,"decoder_layer":
                 {"type":"RNN","input_size":1,"hidden_size":1,"num_layers":4000}}}
                """#,
                413,
                "/layer",
                "--max-tensors"
            ),
            Row(
                layers(String(repeating: #"{"layers":["#, count: 17) + String(repeating: "]}", count: 17)),
                413,
                String(repeating: "/layers/0", count: 16),
                "--max-nesting"
            ),
            Row(
                layers(#"{"name":"\#(String(repeating: "n", count: 500))","repeat":9000,"type":"ReLU"}"#),
                413,
                "/layers/0",
                "--max-name-bytes"
            ),
            Row(
                layers(
                    #"{"repeat":3000,"name":"h","layers":[\#(linear("a"))]}"#,
                    #","rules":[\#(Array(repeating: #"{"method":"skip"}"#, count: 2000).joined(separator: ","))]"#
                ),
                413,
                "/rules",
                "--max-rule-matches"
            ),
            // Passes over layers without parameters count, too.
            Row(
                layers(
                    #"{"repeat":9000,"type":"ReLU"},"# + linear("a"),
                    #","rules":[\#(Array(repeating: #"[{"method":"skip"}]"#, count: 3000).joined(separator: ","))]"#
                ),
                413,
                "/rules",
                "--max-rule-matches"
            ),
            Row(
                #"{"layer":{"type":"Linear","in_features":4194304,"out_features":4194304}}"#,
                413,
                "/layer",
                #" (at "weight") (--max-tensor-bytes)"#
            ),
        ]
    )
    func limits(_ row: Row) throws {
        var limits = ServiceLimits()
        limits.tensors.maximumRuleMatches = 100_000
        try check(row, InitService(limits: limits))
    }

    @Test("A hostile pattern is stopped by its step limit")
    func adversarialPattern() throws {
        let name = String(repeating: "a", count: 100_000)
        let pattern = String(repeating: "*" + String(repeating: "a", count: 50_000) + "b", count: 2)
        let request = Self.layers(
            #"{"name":"\#(name)","layers":[\#(Self.linear("x"))]}"#,
            #","rules":[\#(Array(repeating: #"{"name":"\#(pattern)","method":"zeros"}"#, count: 4).joined(separator: ","))]"#
        )
        var limits = ServiceLimits()
        limits.tensors.maximumRuleMatches = 100_000
        limits.tensors.maximumNameLength = .max
        // Without the limit: more than 10^10 steps.
        let answer = InitService(limits: limits).post("/explain", request)
        #expect(answer.status == 413)
        #expect(try answer.fault().detail.contains("--max-rule-matches"))
    }

    @Test("Every limit can be configured")
    func configured() throws {
        var limits = ServiceLimits()
        limits.tensors.maximumLayers = 3
        let service = InitService(limits: limits)
        let three = Self.layers(#"{"type":"ReLU"},{"type":"ReLU"}"#)
        #expect(service.post("/explain", three).status == 200)
        try check(
            Row(Self.layers(#"{"type":"ReLU"},{"type":"ReLU"},{"type":"ReLU"}"#), 413, "/layers/2", "3 layers"),
            service
        )
        limits = ServiceLimits()
        limits.tensors.maximumTensors = 2
        try check(Row(Self.layers(Self.pair), 413, "/layers/1", "2 tensors"), InitService(limits: limits))
        #expect(InitService(limits: limits).post("/explain", Self.layers(Self.linear("a"))).status == 200)
    }
}
