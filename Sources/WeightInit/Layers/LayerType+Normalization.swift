internal import ByteText

extension LayerType {
    /// `torch/nn/modules/batchnorm.py`, `instancenorm.py`, `normalization.py` and `activation.py` (PReLU)
    static let normalizations: [LayerType] =
        (1...3).map { batchNorm("BatchNorm\($0)d", base: "_BatchNorm", onByDefault: true) }
        + [batchNorm("SyncBatchNorm", base: "_BatchNorm", onByDefault: true, [.onlyDefault("process_group")])]
        + (1...3).map { batchNorm("InstanceNorm\($0)d", base: "_InstanceNorm", onByDefault: false) }
        + [layerNorm, rmsNorm, groupNorm, prelu]

    private static func batchNorm(
        _ name: Text,
        base: Text,
        onByDefault: Bool,
        _ own: [Parameter] = []
    ) -> LayerType {
        LayerType(
            name,
            bases: [base, "_NormBase"],
            [
                Parameter("num_features", .integer, "channels of the input"),
                Parameter("affine", .boolean, default: .boolean(onByDefault), "whether there are weight and bias"),
                Parameter(
                    "track_running_stats",
                    .boolean,
                    default: .boolean(onByDefault),
                    "whether there are running statistics"
                ),
                biasParameter,
                Parameter("eps", .number, default: .number(1e-5)),
                Parameter("momentum", .number, default: .number(0.1), optional: true),
            ] + own
        ) { builder, arguments throws(InitError) in
            let (isAffine, isTracked) =
                (try arguments.boolean("affine"), try arguments.boolean("track_running_stats"))
            // As in PyTorch, the number of channels is not checked if no tensor has this size.
            guard isAffine || isTracked else { return Module(types: []) }
            let shape = try Shape(try arguments.size("num_features"), of: "num_features")
            var slots: [Module.Slot] = []
            if isAffine {
                slots += try affine(&builder, shape, hasBias: try arguments.boolean("bias"))
            }
            if isTracked {
                slots += [
                    try builder.buffer("running_mean", shape, filledWith: 0),
                    try builder.buffer("running_var", shape, filledWith: 1),
                    try builder.buffer("num_batches_tracked", try Shape([]), .int64, filledWith: 0),
                ]
            }
            return Module(types: [], slots: slots)
        }
    }

    private static let normalizedShape = Parameter(
        "normalized_shape",
        .integers(count: nil),
        "shape of the last dimensions, which are normalised together"
    )

    private static let elementwiseAffine = Parameter(
        "elementwise_affine",
        .boolean,
        default: .boolean(true),
        "whether there is a weight"
    )

    private static let layerNorm = LayerType(
        "LayerNorm",
        [normalizedShape, elementwiseAffine, biasParameter, Parameter("eps", .number, default: .number(1e-5))]
    ) { builder, arguments throws(InitError) in
        guard try arguments.boolean("elementwise_affine") else { return Module(types: []) }
        let shape = try Shape(try arguments.sizes("normalized_shape"), parameter: "normalized_shape")
        return Module(types: [], slots: try affine(&builder, shape, hasBias: try arguments.boolean("bias")))
    }

    private static let rmsNorm = LayerType(
        "RMSNorm",
        [normalizedShape, elementwiseAffine, Parameter("eps", .number, default: .null, optional: true)]
    ) { builder, arguments throws(InitError) in
        guard try arguments.boolean("elementwise_affine") else { return Module(types: []) }
        let shape = try Shape(try arguments.sizes("normalized_shape"), parameter: "normalized_shape")
        return Module(types: [], slots: try affine(&builder, shape, hasBias: false))
    }

    private static let groupNorm = LayerType(
        "GroupNorm",
        [
            Parameter("num_groups", .integer, "groups that the channels are divided into"),
            Parameter("num_channels", .integer, "channels of the input"),
            Parameter("affine", .boolean, default: .boolean(true), "whether there are weight and bias"),
            biasParameter,
            Parameter("eps", .number, default: .number(1e-5)),
        ]
    ) { builder, arguments throws(InitError) in
        let groups = try arguments.integer("num_groups")
        let channels = try arguments.integer("num_channels")
        guard groups != 0 else { throw .refused("num_groups", "cannot be 0") }
        // The operator % would trap for −2^63 and −1.
        guard channels.remainderReportingOverflow(dividingBy: groups).partialValue == 0 else {
            throw .refused("num_channels", "\(groups) groups do not divide \(channels) channels")
        }
        guard try arguments.boolean("affine") else { return Module(types: []) }
        return Module(
            types: [],
            slots: try affine(
                &builder,
                try Shape(channels, of: "num_channels"),
                hasBias: try arguments.boolean("bias")
            )
        )
    }

    private static let prelu = LayerType(
        "PReLU",
        [
            Parameter("num_parameters", .integer, default: .integer(1), "number of slopes"),
            Parameter("init", .number, default: .number(0.25), "value of the slopes"),
        ]
    ) { builder, arguments throws(InitError) in
        let shape = try Shape(try arguments.size("num_parameters"), of: "num_parameters")
        let value = try arguments.number("init")
        if let format = arguments.dtype.floatFormat {
            try Recipe.checkConstant(value, count: shape.elementCount, format: format, parameter: "init")
        }
        return Module(types: [], slots: [try builder.parameter("weight", shape, filledWith: value)])
    }

    /// A weight of ones and a bias of zeros.
    private static func affine(
        _ builder: inout LayerBuilder,
        _ shape: Shape,
        hasBias: Bool
    ) throws(InitError) -> [Module.Slot] {
        var slots = [try builder.parameter("weight", shape, filledWith: 1)]
        if hasBias { slots.append(try builder.parameter("bias", shape, filledWith: 0)) }
        return slots
    }
}
