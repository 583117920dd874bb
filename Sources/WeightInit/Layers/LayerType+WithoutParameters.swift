extension LayerType {
    /// Layers that hold no tensor and draw nothing; taken so that a model's own list of layers can be sent as it is.
    static let layersWithoutParameters: [LayerType] =
        [LayerType("Identity", [], hasState: false, acceptsAnyArgument: true) { _, _ in Module(types: []) }]
        + plain(["LogSigmoid", "Sigmoid", "Softmax2d", "Softsign", "Tanh", "Tanhshrink"])
        + plain(["ReLU", "SELU", "SiLU", "Mish", "Hardsigmoid", "Hardswish"], optional: ["inplace"])
        + plain(["ReLU6"], bases: ["Hardtanh"], optional: ["inplace"])
        + [hardtanh]
        + plain(["CELU", "ELU"], optional: ["alpha", "inplace"])
        + plain(["LeakyReLU"], optional: ["negative_slope", "inplace"])
        + plain(["RReLU"], optional: ["lower", "upper", "inplace"])
        + plain(["GELU"], optional: ["approximate"])
        + plain(["GLU", "Softmax", "Softmin", "LogSoftmax"], optional: ["dim"])
        + plain(["Softplus"], optional: ["beta", "threshold"])
        + plain(["Hardshrink", "Softshrink"], optional: ["lambd"])
        + plain(["Threshold"], required: ["threshold", "value"], optional: ["inplace"])
        + plain(
            ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"],
            bases: ["_DropoutNd"],
            optional: ["p", "inplace"]
        ) { arguments throws(InitError) in
            if arguments.value("p") != .null { try arguments.checkProbability("p") }
        }
        + plain(["Flatten"], optional: ["start_dim", "end_dim"])
        + plain(["Unflatten"], required: ["dim", "unflattened_size"])
        + plain(["Fold"], required: ["output_size", "kernel_size"], optional: ["dilation", "padding", "stride"])
        + plain(["Unfold"], required: ["kernel_size"], optional: ["dilation", "padding", "stride"])
        + plain(["ChannelShuffle"], required: ["groups"])
        + plain(["PixelShuffle"], required: ["upscale_factor"])
        + plain(["PixelUnshuffle"], required: ["downscale_factor"])
        + plain(["CosineSimilarity"], optional: ["dim", "eps"])
        + plain(["PairwiseDistance"], optional: ["p", "eps", "keepdim"])
        + plain(["CrossMapLRN2d", "LocalResponseNorm"], required: ["size"], optional: ["alpha", "beta", "k"])
        + plain(
            ["Upsample"],
            optional: ["size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"]
        )
        + plain(
            ["UpsamplingBilinear2d", "UpsamplingNearest2d"],
            bases: ["Upsample"],
            optional: ["size", "scale_factor"]
        )
        + plain(["FractionalMaxPool2d"], required: ["kernel_size"], optional: fractionalOutput, check: checkOutput)
        + plain(["FractionalMaxPool3d"], required: ["kernel_size"], optional: fractionalOutput) {
            arguments throws(InitError) in
            guard try arguments.integers("kernel_size", count: 3).allSatisfy({ $0 > 0 }) else {
                throw .refused("kernel_size", "must be at least 1")
            }
            try checkOutput(arguments)
        }
        + plain(
            ["AvgPool1d"],
            bases: ["_AvgPoolNd"],
            required: ["kernel_size"],
            optional: ["stride", "padding", "ceil_mode", "count_include_pad"]
        )
        + plain(
            ["AvgPool2d", "AvgPool3d"],
            bases: ["_AvgPoolNd"],
            required: ["kernel_size"],
            optional: ["stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"]
        )
        + (1...3).flatMap(ofRank)

    private static let hardtanh = LayerType(
        "Hardtanh",
        [
            Parameter("min_val", .number, default: .number(-1)),
            Parameter("max_val", .number, default: .number(1)),
            Parameter("inplace", .boolean, default: .boolean(false)),
        ],
        hasState: false
    ) { _, arguments throws(InitError) in
        let (least, most) = (try arguments.number("min_val"), try arguments.number("max_val"))
        guard least < most else { throw .refused("max_val", "\(most) is not above min_val = \(least)") }
        return Module(types: [])
    }

    private static let fractionalOutput = ["output_size", "output_ratio", "return_indices"]

    /// The output of a fractional pooling is given as a size or as a share of the input.
    private static let checkOutput: @Sendable (LayerArguments) throws(InitError) -> Void = {
        arguments throws(InitError) in
        let hasSize = arguments.value("output_size") != .null
        guard hasSize == (arguments.value("output_ratio") == .null) else {
            throw .refused("output_size", "exactly one of output_size and output_ratio is needed")
        }
        guard case .number(let ratio) = arguments.value("output_ratio") else {
            if case .integer(let ratio) = arguments.value("output_ratio") {
                throw .refused("output_ratio", "must lie between 0 and 1, not be \(ratio)")
            }
            return
        }
        guard ratio > 0, ratio < 1 else {
            throw .refused("output_ratio", "must lie between 0 and 1, not be \(ratio)")
        }
    }

    private static func ofRank(_ rank: Int) -> [LayerType] {
        plain(["AdaptiveAvgPool\(rank)d"], bases: ["_AdaptiveAvgPoolNd"], required: ["output_size"])
            + plain(
                ["AdaptiveMaxPool\(rank)d"],
                bases: ["_AdaptiveMaxPoolNd"],
                required: ["output_size"],
                optional: ["return_indices"]
            )
            + plain(
                ["MaxPool\(rank)d"],
                bases: ["_MaxPoolNd"],
                required: ["kernel_size"],
                optional: ["stride", "padding", "dilation", "return_indices", "ceil_mode"]
            )
            + plain(
                ["MaxUnpool\(rank)d"],
                bases: ["_MaxUnpoolNd"],
                required: ["kernel_size"],
                optional: ["stride", "padding"]
            )
            + plain(
                ["LPPool\(rank)d"],
                bases: ["_LPPoolNd"],
                required: ["norm_type", "kernel_size"],
                optional: ["stride", "ceil_mode"]
            )
            + plain(["CircularPad\(rank)d"], bases: ["_CircularPadNd"], required: ["padding"])
            + plain(["ReflectionPad\(rank)d"], bases: ["_ReflectionPadNd"], required: ["padding"])
            + plain(["ReplicationPad\(rank)d"], bases: ["_ReplicationPadNd"], required: ["padding"])
            + plain(["ConstantPad\(rank)d"], bases: ["_ConstantPadNd"], required: ["padding", "value"])
            + plain(["ZeroPad\(rank)d"], bases: ["ConstantPad\(rank)d", "_ConstantPadNd"], required: ["padding"])
    }

    private static func plain(
        _ names: [String],
        bases: [String] = [],
        required: [String] = [],
        optional: [String] = [],
        check: @escaping @Sendable (LayerArguments) throws(InitError) -> Void = { _ in }
    ) -> [LayerType] {
        names.map { name in
            LayerType(
                name,
                bases: bases,
                required.map { Parameter($0, .any) } + optional.map { Parameter($0, .any, default: .null) },
                hasState: false
            ) { _, arguments throws(InitError) in
                try check(arguments)
                return Module(types: [])
            }
        }
    }
}
