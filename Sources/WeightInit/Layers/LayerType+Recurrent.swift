internal import ByteText

extension LayerType {
    /// `torch/nn/modules/rnn.py`
    static let recurrentLayers: [LayerType] =
        [("RNN", 1), ("LSTM", 4), ("GRU", 3)].map { stacked($0.0, gates: $0.1) }
        + [("RNNCell", 1), ("LSTMCell", 4), ("GRUCell", 3)].map { cell($0.0, gates: $0.1) }

    private static let sizes = [
        Parameter("input_size", .integer, "features of the input"),
        Parameter("hidden_size", .integer, "features of the hidden state"),
    ]

    private static let tanhOrReLU = Parameter("nonlinearity", .choice(["tanh", "relu"]), default: .text("tanh"))

    private static func stacked(_ name: Text, gates: Int) -> LayerType {
        let own: [Parameter] =
            switch name {
            case "RNN": [tanhOrReLU]
            case "LSTM": [Parameter("proj_size", .integer, default: .integer(0), "size of the projection, 0 for none")]
            default: []
            }
        return LayerType(
            name,
            bases: ["RNNBase"],
            sizes + [
                Parameter("num_layers", .integer, default: .integer(1), "layers on top of each other"),
                biasParameter,
                Parameter("bidirectional", .boolean, default: .boolean(false), "whether there is a backward direction"),
                Parameter("batch_first", .boolean, default: .boolean(false)),
                Parameter("dropout", .number, default: .number(0)),
            ] + own,
            strictFlags: ["bias", "batch_first"]
        ) { builder, arguments throws(InitError) in
            let input = try arguments.size("input_size", atLeast: 1)
            let hidden = try arguments.size("hidden_size", atLeast: 1)
            let layers = try arguments.size("num_layers", atLeast: 1)
            let projection = name == "LSTM" ? try arguments.size("proj_size") : 0
            guard projection < hidden else {
                throw .refused("proj_size", "must be smaller than hidden_size = \(hidden), not \(projection)")
            }
            try arguments.checkProbability("dropout")
            let directions: [Text] = try arguments.boolean("bidirectional") ? ["", "_reverse"] : [""]
            let hasBias = try arguments.boolean("bias")
            try builder.reserve(modules: layers - 1)
            let gated = try arguments.product(gates, hidden, of: "hidden_size")
            let recurrent = projection > 0 ? projection : hidden
            let inner = try arguments.product(recurrent, directions.count, of: "hidden_size")
            let bound = 1 / Double(hidden).squareRoot()
            var slots: [Module.Slot] = []
            for layer in 0..<layers {
                for direction in directions {
                    let suffix: Text = "_l\(layer)\(direction)"
                    var shapes: [(name: Text, shape: Shape)] = [
                        ("weight_ih", try Shape(gated, layer == 0 ? input : inner, of: "hidden_size")),
                        ("weight_hh", try Shape(gated, recurrent, of: "hidden_size")),
                    ]
                    if hasBias {
                        let bias = try Shape(gated, of: "hidden_size")
                        shapes += [("bias_ih", bias), ("bias_hh", bias)]
                    }
                    if projection > 0 {
                        shapes.append(("weight_hr", try Shape(projection, hidden, of: "proj_size")))
                    }
                    for (name, shape) in shapes {
                        slots.append(try builder.uniform(name + suffix, shape, bound: bound))
                    }
                }
            }
            return Module(types: [], slots: slots)
        }
    }

    private static func cell(_ name: Text, gates: Int) -> LayerType {
        LayerType(
            name,
            bases: ["RNNCellBase"],
            sizes + [biasParameter] + (name == "RNNCell" ? [tanhOrReLU] : [])
        ) { builder, arguments throws(InitError) in
            let hidden = try arguments.size("hidden_size")
            let gated = try arguments.product(gates, hidden, of: "hidden_size")
            // PyTorch's bound for an empty cell is 0.
            let bound = hidden > 0 ? 1 / Double(hidden).squareRoot() : 0
            var shapes: [(name: Text, shape: Shape)] = [
                ("weight_ih", try Shape(gated, try arguments.size("input_size"), of: "hidden_size")),
                ("weight_hh", try Shape(gated, hidden, of: "hidden_size")),
            ]
            if try arguments.boolean("bias") {
                let bias = try Shape(gated, of: "hidden_size")
                shapes += [("bias_ih", bias), ("bias_hh", bias)]
            }
            var slots: [Module.Slot] = []
            for (name, shape) in shapes {
                slots.append(try builder.uniform(name, shape, bound: bound))
            }
            return Module(types: [], slots: slots)
        }
    }
}
