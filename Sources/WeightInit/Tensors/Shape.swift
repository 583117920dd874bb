public import ByteText

/// The dimensions of a tensor, outermost first; row-major. A scalar's shape is empty.
public struct Shape: Sendable, Equatable, CustomStringConvertible {
    /// The largest number of dimensions: NumPy's limit, up to which PyTorch's printing and indexing are tested.
    public static let maximumRank = 64

    public let dimensions: [Int]
    /// Number of elements: the product of the dimensions, 1 for a scalar.
    public let elementCount: Int

    /// - Throws: `invalid` for a negative dimension; `tooLarge` for more than 64 dimensions, or if the product of the
    ///   dimensions that are not 0 needs more than 63 bits.
    public init(_ dimensions: [Int], parameter: Text = "shape") throws(InitError) {
        guard dimensions.count <= Shape.maximumRank else {
            throw .tooLarge(parameter, "has \(dimensions.count) dimensions; at most \(Shape.maximumRank) are allowed")
        }
        if let negative = dimensions.first(where: { $0 < 0 }) {
            throw .invalid(parameter, "dimension \(negative) is negative")
        }
        // As in PyTorch, a dimension of 0 does not excuse others whose product overflows, for strides overflow with it.
        var product = 1
        for dimension in dimensions where dimension != 0 {
            let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
            guard !overflow else {
                throw .tooLarge(parameter, "the product of the dimensions is over 2^63 − 1")
            }
            product = next
        }
        self.dimensions = dimensions
        elementCount = dimensions.contains(0) ? 0 : product
    }

    /// Makes a shape whose product is known to fit because a larger shape was checked.
    init(unchecked dimensions: [Int]) {
        self.dimensions = dimensions
        elementCount = dimensions.reduce(1, *)
    }

    public var rank: Int { dimensions.count }

    /// `[64, 3, 7, 7]`
    public var description: String {
        var text = "["
        for (index, dimension) in dimensions.enumerated() {
            if index > 0 { text += ", " }
            text += String(dimension)
        }
        return text + "]"
    }
}
