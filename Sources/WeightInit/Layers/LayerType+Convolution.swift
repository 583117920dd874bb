internal import ByteText

extension LayerType {
    /// `torch/nn/modules/conv.py`
    static let convolutions: [LayerType] = (1...3).flatMap { rank in
        [convolution(rank, transposed: false), convolution(rank, transposed: true)]
    }

    private static func convolution(_ rank: Int, transposed: Bool) -> LayerType {
        let paddingModes: [Text] = transposed ? ["zeros"] : ["zeros", "reflect", "replicate", "circular"]
        let parameters = [
            Parameter("in_channels", .integer, "channels of the input"),
            Parameter("out_channels", .integer, "channels of the output"),
            Parameter("kernel_size", .integers(count: rank), "size of the kernel"),
            Parameter("groups", .integer, default: .integer(1), "number of groups that the channels are divided into"),
            biasParameter,
            Parameter("stride", .integers(count: rank), default: .integer(1)),
            Parameter("padding", transposed ? .integers(count: rank) : .any, default: .integer(0)),
            Parameter("dilation", .integers(count: rank), default: .integer(1)),
            Parameter("padding_mode", .choice(paddingModes), default: .text("zeros")),
        ]
        return LayerType(
            transposed ? "ConvTranspose\(rank)d" : "Conv\(rank)d",
            bases: transposed ? ["_ConvTransposeNd", "_ConvNd"] : ["_ConvNd"],
            parameters
                + (transposed ? [Parameter("output_padding", .integers(count: rank), default: .integer(0))] : [])
        ) { builder, arguments throws(InitError) in
            let groups = try arguments.integer("groups")
            guard groups > 0 else { throw .refused("groups", "must be at least 1, not \(groups)") }
            let input = try arguments.size("in_channels")
            let output = try arguments.size("out_channels")
            for (name, channels) in [("in_channels", input), ("out_channels", output)] where channels % groups != 0 {
                throw .refused("groups", "\(groups) groups do not divide \(name) = \(channels)")
            }
            if !transposed { try checkPadding(arguments, rank: rank) }
            let kernel = try arguments.sizes("kernel_size", count: rank)
            let channels = transposed ? [input, output / groups] : [output, input / groups]
            let weight = try Shape(channels + kernel, parameter: "kernel_size")
            var slots = [try builder.kaimingWeight(weight)]
            if try arguments.boolean("bias") {
                slots.append(try builder.bias(output, weight: weight))
            }
            return Module(types: [], slots: slots)
        }
    }

    /// Checks the padding: sizes, or one of the words `same` and `valid`.
    private static func checkPadding(_ arguments: LayerArguments, rank: Int) throws(InitError) {
        switch arguments.value("padding") {
        case .text("same"):
            guard try arguments.integers("stride", count: rank).allSatisfy({ $0 == 1 }) else {
                throw .refused("padding", "same is not supported for strides other than 1")
            }
        case .text("valid"):
            break
        case .text(let word):
            throw .unknown("padding", word, in: ["padding"], known: ["same", "valid"])
        default:
            _ = try arguments.integers("padding", count: rank)
        }
    }
}
