internal import ByteText

/// Fan-in and fan-out of a weight by PyTorch's rule (`torch.nn.init._calculate_fan_in_and_fan_out`): the second and the
/// first dimension, each times the receptive field.
public struct Fan: Sendable, Equatable {
    public enum Mode: String, CaseIterable, Sendable {
        case fanIn = "fan_in"
        case fanOut = "fan_out"
    }

    /// Order of a weight's dimensions.
    public enum Layout: String, CaseIterable, Sendable {
        /// `[out, in, k…]`
        case torch
        /// `[k…, in, out]`
        case keras
    }

    public let fanIn: Int
    public let fanOut: Int

    /// - Throws: `refused` for fewer than two dimensions.
    public init(of shape: Shape, layout: Layout = .torch) throws(InitError) {
        let dimensions = shape.dimensions
        guard dimensions.count >= 2 else {
            throw .refused(
                "shape",
                "fan-in and fan-out need at least 2 dimensions, \(shape) has \(dimensions.count)"
            )
        }
        let kernel: ArraySlice<Int>
        let input: Int
        let output: Int
        switch layout {
        case .torch:
            (output, input, kernel) = (dimensions[0], dimensions[1], dimensions[2...])
        case .keras:
            let last = dimensions.count - 1
            (output, input, kernel) = (dimensions[last], dimensions[last - 1], dimensions[..<(last - 1)])
        }
        fanIn = try Fan.product(input, kernel)
        fanOut = try Fan.product(output, kernel)
    }

    /// The fans of the layer itself, which the weight's shape alone does not tell.
    ///
    /// With groups, each output sees `fanIn` inputs (the shape already says so), but each input reaches only
    /// `out / groups` outputs. A transposed convolution stores `[in, out / groups, k…]`, so the two fans change places.
    ///
    /// - Throws: `invalid` for fewer than 1 group; `refused` if the number of groups does not divide the first
    ///   dimension (in Keras' layout the last one).
    public init(effectiveOf shape: Shape, layout: Layout, groups: Int, transposed: Bool) throws(InitError) {
        guard groups >= 1 else {
            throw .invalid("groups", "must be at least 1")
        }
        let plain = try Fan(of: shape, layout: layout)
        let grouped = layout == .torch ? shape.dimensions[0] : shape.dimensions[shape.rank - 1]
        guard grouped % groups == 0 else {
            throw .refused("groups", "\(groups) groups do not divide the dimension \(grouped)")
        }
        let perGroup = plain.fanOut / groups
        (fanIn, fanOut) = transposed ? (perGroup, plain.fanIn) : (plain.fanIn, perGroup)
    }

    private static func product(_ channels: Int, _ kernel: ArraySlice<Int>) throws(InitError) -> Int {
        var product = channels
        for size in kernel where product != 0 {
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            guard !overflow else {
                throw .tooLarge("shape", "the fan is over 2^63 − 1")
            }
            product = next
        }
        return product
    }

    public subscript(mode: Mode) -> Int {
        switch mode {
        case .fanIn: fanIn
        case .fanOut: fanOut
        }
    }
}
