internal import ByteText

extension LayerType {
    static let biasParameter = Parameter("bias", .boolean, default: .boolean(true), "whether there is a bias")

    private static let linearParameters = [
        Parameter("in_features", .integer, "size of each input"),
        Parameter("out_features", .integer, "size of each output"),
        biasParameter,
    ]

    /// `torch/nn/modules/linear.py`
    static let linearLayers: [LayerType] = [
        LayerType("Linear", linearParameters, build: linear),
        // The output projection of attention; a subclass of Linear, so rules for Linear match it.
        LayerType("NonDynamicallyQuantizableLinear", bases: ["Linear"], linearParameters, build: linear),
        LayerType(
            "Bilinear",
            [
                Parameter("in1_features", .integer, "size of each first input"),
                Parameter("in2_features", .integer, "size of each second input"),
                Parameter("out_features", .integer, "size of each output"),
                biasParameter,
            ]
        ) { builder, arguments throws(InitError) in
            let first = try arguments.size("in1_features", atLeast: 1)
            let output = try arguments.size("out_features")
            let bound = 1 / Double(first).squareRoot()
            var slots = [
                try builder.uniform(
                    "weight",
                    try Shape(output, first, try arguments.size("in2_features"), of: "out_features"),
                    bound: bound
                )
            ]
            if try arguments.boolean("bias") {
                slots.append(try builder.uniform("bias", try Shape(output, of: "out_features"), bound: bound))
            }
            return Module(types: [], slots: slots)
        },
    ]

    private static let linear: @Sendable (inout LayerBuilder, LayerArguments) throws(InitError) -> Module = {
        builder,
        arguments throws(InitError) in
        let output = try arguments.size("out_features")
        let weight = try Shape(output, try arguments.size("in_features"), of: "out_features")
        var slots = [try builder.kaimingWeight(weight)]
        if try arguments.boolean("bias") {
            slots.append(try builder.bias(output, weight: weight))
        }
        return Module(types: [], slots: slots)
    }
}
