internal import ByteText

extension LayerType {
    /// `torch/nn/modules/activation.py` (MultiheadAttention) and `transformer.py`
    static let attentionLayers: [LayerType] = [
        multiheadAttention, encoderLayer, decoderLayer, stack("TransformerEncoder", of: "encoder_layer"),
        stack("TransformerDecoder", of: "decoder_layer"), transformer,
    ]

    private static let multiheadAttention = LayerType(
        "MultiheadAttention",
        [
            Parameter("embed_dim", .integer, "size of the model"),
            Parameter("num_heads", .integer, "number of heads, which divides embed_dim"),
            biasParameter,
            Parameter("add_bias_kv", .boolean, default: .boolean(false), "whether there are bias_k and bias_v"),
            Parameter("kdim", .integer, default: .null, optional: true, "size of the keys, if not embed_dim"),
            Parameter("vdim", .integer, default: .null, optional: true, "size of the values, if not embed_dim"),
            Parameter("dropout", .number, default: .number(0)),
            Parameter("add_zero_attn", .boolean, default: .boolean(false)),
            Parameter("batch_first", .boolean, default: .boolean(false)),
        ]
    ) { builder, arguments throws(InitError) in
        let size = try arguments.size("embed_dim", atLeast: 1)
        let heads = try arguments.size("num_heads", atLeast: 1)
        guard size % heads == 0 else {
            throw .refused("num_heads", "\(heads) heads do not divide embed_dim = \(size)")
        }
        let keys = try arguments.optionalInteger("kdim") ?? size
        let values = try arguments.optionalInteger("vdim") ?? size
        let hasBias = try arguments.boolean("bias")
        let square = try Shape(size, size, of: "embed_dim")

        // The output's weight and bias are drawn first, although the bias is overwritten below.
        let output = try builder.build(
            "NonDynamicallyQuantizableLinear",
            ["in_features": .integer(size), "out_features": .integer(size), "bias": .boolean(hasBias)]
        )
        let tripled = try arguments.product(3, size, of: "embed_dim")
        let projections: [(Text, Shape)]
        if keys == size && values == size {
            projections = [("in_proj_weight", try Shape(tripled, size, of: "embed_dim"))]
        } else {
            projections = [
                ("q_proj_weight", square), ("k_proj_weight", try Shape(size, keys, of: "kdim")),
                ("v_proj_weight", try Shape(size, values, of: "vdim")),
            ]
        }
        var slots: [Module.Slot] = []
        for (name, shape) in projections {
            slots.append(try builder.parameter(name, shape, .xavierUniform))
        }
        if hasBias {
            slots.append(try builder.parameter("in_proj_bias", try Shape(tripled, of: "embed_dim"), filledWith: 0))
            try builder.overwrite(output.slots[1], with: 0)
        }
        if try arguments.boolean("add_bias_kv") {
            for name: Text in ["bias_k", "bias_v"] {
                slots.append(try builder.parameter(name, try Shape(1, 1, size, of: "embed_dim"), .xavierNormal))
            }
        }
        return Module(types: [], slots: slots, children: [("out_proj", output)])
    }

    /// Arguments that both transformer layers and the whole transformer take.
    private static let common = [
        Parameter("dropout", .number, default: .number(0.1)),
        Parameter("activation", .choice(["relu", "gelu"]), default: .text("relu")),
        Parameter("layer_norm_eps", .number, default: .number(1e-5)),
        Parameter("batch_first", .boolean, default: .boolean(false)),
        Parameter("norm_first", .boolean, default: .boolean(false)),
        biasParameter,
    ]

    private static func sizes(isRequired: Bool) -> [Parameter] {
        [
            Parameter("d_model", .integer, default: isRequired ? nil : .integer(512), "size of the model"),
            Parameter("nhead", .integer, default: isRequired ? nil : .integer(8), "heads of the attention"),
            Parameter("dim_feedforward", .integer, default: .integer(2048), "size between the two linear layers"),
        ]
    }

    private static let encoderLayer = layer("TransformerEncoderLayer", attentions: ["self_attn"])
    private static let decoderLayer = layer("TransformerDecoderLayer", attentions: ["self_attn", "multihead_attn"])

    private static func layer(_ name: Text, attentions: [Text]) -> LayerType {
        LayerType(name, sizes(isRequired: true) + common) { builder, arguments throws(InitError) in
            let size = try arguments.size("d_model")
            let inner = try arguments.size("dim_feedforward")
            let hasBias = arguments.value("bias")
            try arguments.checkProbability("dropout")
            var children: [(name: Text, module: Module)] = []
            for attention in attentions {
                do throws(InitError) {
                    let module = try builder.build(
                        "MultiheadAttention",
                        ["embed_dim": .integer(size), "num_heads": arguments.value("nhead"), "bias": hasBias]
                    )
                    children.append((attention, module))
                } catch {
                    throw error.renamed(["embed_dim": "d_model", "num_heads": "nhead"])
                }
            }
            let linears: [(Text, Int, Int)] = [("linear1", size, inner), ("linear2", inner, size)]
            for (linear, input, output) in linears {
                let module = try builder.build(
                    "Linear",
                    ["in_features": .integer(input), "out_features": .integer(output), "bias": hasBias]
                )
                children.append((linear, module))
            }
            for norm in 1...attentions.count + 1 {
                children.append((Text("norm\(norm)"), try builder.layerNorm(size, bias: hasBias)))
            }
            return Module(types: [], children: children)
        }
    }

    /// Copies of one layer: the layer draws when it is built, the copies draw nothing.
    private static func stack(_ name: Text, of layer: Text) -> LayerType {
        LayerType(
            name,
            [
                Parameter(layer, .layer, "the layer that is copied"),
                Parameter("num_layers", .integer, "number of copies"),
                Parameter("norm", .layer, default: .null, optional: true, "a normalisation at the end"),
            ]
                + (name == "TransformerEncoder"
                    ? [
                        Parameter("enable_nested_tensor", .boolean, default: .boolean(true)),
                        Parameter("mask_check", .boolean, default: .boolean(true)),
                    ] : []),
            takesDevice: false
        ) { builder, arguments throws(InitError) in
            guard let request = try arguments.layer(layer) else { throw .invalid(layer, "is missing") }
            let count = try arguments.count("num_layers")
            let original = try build(&builder, request, as: layer)
            var children: [(name: Text, module: Module)] = [("layers", try copies(&builder, original, count))]
            if let request = try arguments.layer("norm") {
                children.append(("norm", try build(&builder, request, as: "norm")))
            }
            return Module(types: [], children: children)
        }
    }

    private static func build(
        _ builder: inout LayerBuilder,
        _ request: LayerRequest,
        as argument: Text
    ) throws(InitError) -> Module {
        do {
            return try builder.build(request)
        } catch {
            throw error.under(argument)
        }
    }

    private static func copies(
        _ builder: inout LayerBuilder,
        _ original: Module,
        _ count: Int
    ) throws(InitError) -> Module {
        let (modules, overflow) = original.count.multipliedReportingOverflow(by: count)
        try builder.checkRoom(modules: overflow ? .max : modules)
        var layers = Module(types: ["ModuleList"])
        for index in 0..<count {
            layers.children.append((Text(index), try builder.copy(original)))
        }
        return layers
    }

    private static let transformer = LayerType(
        "Transformer",
        sizes(isRequired: false) + [
            Parameter("num_encoder_layers", .integer, default: .integer(6), "layers of the encoder"),
            Parameter("num_decoder_layers", .integer, default: .integer(6), "layers of the decoder"),
            .onlyDefault("custom_encoder"), .onlyDefault("custom_decoder"),
        ] + common
    ) { builder, arguments throws(InitError) in
        let size = try arguments.size("d_model")
        let hasBias = arguments.value("bias")
        var shared: [Text: ParameterValue] = [:]
        for name: Text in ["d_model", "nhead", "dim_feedforward", "dropout", "bias"] {
            shared[name] = arguments.value(name)
        }
        var halves: [(name: Text, module: Module)] = []
        let counts: [(Text, Text, Int)] = [
            ("encoder", "TransformerEncoderLayer", try arguments.count("num_encoder_layers")),
            ("decoder", "TransformerDecoderLayer", try arguments.count("num_decoder_layers")),
        ]
        for (half, layer, count) in counts {
            let original = try builder.build(layer, shared)
            let norm = try builder.layerNorm(size, bias: hasBias)
            try builder.reserve(modules: 1)
            let stack = Module(
                types: half == "encoder" ? ["TransformerEncoder"] : ["TransformerDecoder"],
                children: [("layers", try copies(&builder, original, count)), ("norm", norm)]
            )
            halves.append((half, stack))
        }
        let module = Module(types: [], children: halves)
        // Parameters of two or more dimensions are drawn again; the others keep the values of the copied layer.
        try module.walk { (module: Module, _: Text) throws(InitError) in
            for slot in module.slots where slot.isParameter && builder.cells[slot.cell].shape.rank > 1 {
                try builder.redrawDefault(slot, .xavierUniform)
            }
        }
        return module
    }
}

extension LayerBuilder {
    fileprivate mutating func layerNorm(_ size: Int, bias: ParameterValue) throws(InitError) -> Module {
        try build("LayerNorm", ["normalized_shape": .integer(size), "bias": bias])
    }
}
