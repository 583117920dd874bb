internal import ByteText

extension LayerType {
    /// `torch/nn/modules/sparse.py`
    static let embeddings: [LayerType] = [
        embedding("Embedding", [Parameter("_freeze", .boolean, default: .boolean(false))]),
        embedding(
            "EmbeddingBag",
            [
                Parameter("mode", .choice(["sum", "mean", "max"]), default: .text("mean")),
                Parameter("include_last_offset", .boolean, default: .boolean(false)),
            ]
        ),
    ]

    private static func embedding(_ name: Text, _ own: [Parameter]) -> LayerType {
        LayerType(
            name,
            [
                Parameter("num_embeddings", .integer, "size of the dictionary"),
                Parameter("embedding_dim", .integer, "size of each vector"),
                Parameter(
                    "padding_idx",
                    .integer,
                    default: .null,
                    optional: true,
                    "row that is zero; negative counts from the end"
                ),
                Parameter("max_norm", .number, default: .null, optional: true),
                Parameter("norm_type", .number, default: .number(2)),
                Parameter("scale_grad_by_freq", .boolean, default: .boolean(false)),
                Parameter("sparse", .boolean, default: .boolean(false)),
                .onlyDefault("_weight"),
            ] + own
        ) { builder, arguments throws(InitError) in
            let rows = try arguments.size("num_embeddings")
            let shape = try Shape(rows, try arguments.size("embedding_dim"), of: "embedding_dim")
            let padding = try arguments.optionalInteger("padding_idx")
            if let padding {
                guard padding < 0 ? padding >= -rows : padding < rows else {
                    throw .refused("padding_idx", "\(padding) is not a row of \(rows)")
                }
            }
            let weight = try builder.parameter("weight", shape, .normal)
            if let padding {
                try builder.zeroRow(padding < 0 ? rows + padding : padding, of: weight)
            }
            return Module(types: [], slots: [weight])
        }
    }
}
