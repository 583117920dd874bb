internal import ByteText

extension LayerType {
    /// Layers that hold no tensor and draw nothing. They are in the table so that clients can send a model's list of
    /// layers as it is.
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
        + ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"].map(dropout)
        + plain(["Flatten"], optional: ["start_dim", "end_dim"])
        + [unflatten]
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
            optional: ["size", "mode", "align_corners", "recompute_scale_factor"],
            checked: [scaleFactor]
        )
        + plain(
            ["UpsamplingBilinear2d", "UpsamplingNearest2d"],
            bases: ["Upsample"],
            optional: ["size"],
            checked: [scaleFactor]
        )
        + [fractionalMaxPool(rank: 2), fractionalMaxPool(rank: 3)]
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
            .onlyDefault("min_value"), .onlyDefault("max_value"),
        ],
        hasState: false
    ) { _, arguments throws(InitError) in
        let (least, most) = (try arguments.number("min_val"), try arguments.number("max_val"))
        guard least < most else { throw .refused("max_val", "\(most) is not above min_val = \(least)") }
        return Module(types: [])
    }

    private static func dropout(_ name: Text) -> LayerType {
        LayerType(
            name,
            bases: ["_DropoutNd"],
            [
                Parameter("p", .number, default: .number(0.5)),
                Parameter("inplace", .boolean, default: .boolean(false)),
            ],
            hasState: false
        ) { _, arguments throws(InitError) in
            try arguments.checkProbability("p")
            return Module(types: [])
        }
    }

    private static let unflatten = LayerType(
        "Unflatten",
        [Parameter("dim", .any), Parameter("unflattened_size", .integers(count: nil))],
        hasState: false
    ) { _, arguments throws(InitError) in
        guard case .integers = arguments.value("unflattened_size") else {
            throw .refused("unflattened_size", "must be a list of integers")
        }
        return Module(types: [])
    }

    private static let scaleFactor = Parameter("scale_factor", .numbers, default: .null, optional: true)

    private static func fractionalMaxPool(rank: Int) -> LayerType {
        LayerType(
            "FractionalMaxPool\(rank)d",
            [
                Parameter("kernel_size", rank == 2 ? .any : .integers(count: nil)),
                Parameter("output_size", .any, default: .null),
                Parameter("output_ratio", .numbers, default: .null, optional: true),
                Parameter("return_indices", .any, default: .boolean(false)),
                .onlyDefault("_random_samples"),
            ],
            hasState: false
        ) { _, arguments throws(InitError) in
            // In two dimensions, PyTorch does not check the kernel.
            if rank == 3, let least = try arguments.integers("kernel_size").min(), least < 1 {
                throw .refused("kernel_size", "must be at least 1, not \(least)")
            }
            guard (arguments.value("output_size") == .null) != (arguments.value("output_ratio") == .null) else {
                throw .refused("output_size", "exactly one of output_size and output_ratio is needed")
            }
            try checkRatio(arguments.value("output_ratio"), rank: rank)
            return Module(types: [])
        }
    }

    /// Checks the share of the input that fractional pooling keeps in each dimension; PyTorch ignores any numbers after
    /// these.
    private static func checkRatio(_ value: ParameterValue, rank: Int) throws(InitError) {
        let ratios: [Double]
        switch value {
        case .number(let ratio): ratios = [Double](repeating: ratio, count: rank)
        case .numbers(let given): ratios = given
        default: return
        }
        guard ratios.count >= rank else {
            throw .refused("output_ratio", "must have \(rank) numbers, not \(ratios.count)")
        }
        if let ratio = ratios.prefix(rank).first(where: { !($0 > 0 && $0 < 1) }) {
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

    /// Layers whose constructors check nothing, apart from the types of `checked`.
    private static func plain(
        _ names: [Text],
        bases: [Text] = [],
        required: [Text] = [],
        optional: [Text] = [],
        checked: [Parameter] = []
    ) -> [LayerType] {
        names.map { name in
            LayerType(
                name,
                bases: bases,
                required.map { Parameter($0, .any) } + optional.map { Parameter($0, .any, default: .null) } + checked,
                hasState: false
            ) { _, _ in Module(types: []) }
        }
    }
}
