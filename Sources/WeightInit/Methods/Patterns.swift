internal import ByteText

/// The places at which `dirac_` puts a 1: at most one in each slice of the first dimension.
struct DiracPattern: Sendable, Equatable {
    private let slices: Int
    private let channelsPerGroup: Int
    private let channels: Int
    /// Number of elements in a slice and in a kernel, and the index of the kernel's centre.
    private let sliceSize: Int
    private let kernelSize: Int
    private let centre: Int
    private let isEmpty: Bool

    /// - Throws: `refused` as PyTorch does: for other than 3 to 5 dimensions, groups that do not divide the first
    ///   dimension, or a 1 in an empty kernel.
    init(shape: Shape, groups: Int) throws(InitError) {
        let dimensions = shape.dimensions
        guard (3...5).contains(dimensions.count) else {
            throw .refused("shape", "dirac needs 3, 4 or 5 dimensions, \(shape) has \(dimensions.count)")
        }
        guard groups != 0 else { throw .refused("groups", "cannot be 0") }
        guard dimensions[0] % groups == 0 else {
            throw .refused("groups", "\(groups) groups do not divide the first dimension \(dimensions[0])")
        }
        slices = dimensions[0]
        channels = dimensions[1]
        channelsPerGroup = groups > 0 ? dimensions[0] / groups : 0
        let kernel = dimensions[2...]
        isEmpty = min(channelsPerGroup, channels) <= 0
        guard isEmpty || !kernel.contains(0) else {
            throw .refused("shape", "a kernel dimension of 0 has no centre to hold a 1")
        }
        if shape.elementCount == 0 || isEmpty {
            (kernelSize, sliceSize, centre) = (0, 0, 0)
        } else {
            kernelSize = kernel.reduce(1, *)
            sliceSize = kernelSize * channels
            centre = kernel.reduce(0) { $0 * $1 + $1 / 2 }
        }
    }

    /// The elements of a range that are 1, in order.
    func ones(in range: Range<Int>) -> [Int] {
        guard !isEmpty, sliceSize > 0, !range.isEmpty else { return [] }
        return (range.lowerBound / sliceSize...(range.upperBound - 1) / sliceSize).compactMap { slice in
            let channel = slice % channelsPerGroup
            guard channel < channels else { return nil }
            let element = slice * sliceSize + channel * kernelSize + centre
            return range.contains(element) ? element : nil
        }
    }
}

/// The rows that `sparse_` sets to zero in each column.
struct SparsePattern: Sendable, Equatable {
    let rows: Int
    let columns: Int
    /// Number of zeroed entries at the front of each column's permutation.
    let zerosPerColumn: Int

    /// Number of rows from which `torch.randperm` draws 64-bit numbers, which are not supported.
    private static let rowLimit = 214_748_364

    /// - Throws: `refused` as PyTorch does, and `tooLarge` for a mask over the limit.
    init(shape: Shape, sparsity: Double, limits: Limits) throws(InitError) {
        guard shape.rank == 2 else {
            throw .refused("shape", "sparse needs exactly 2 dimensions, \(shape) has \(shape.rank)")
        }
        rows = shape.dimensions[0]
        columns = shape.dimensions[1]
        guard shape.elementCount <= limits.maximumMatrixElements, rows < SparsePattern.rowLimit else {
            throw InitError(
                over: \Limits.maximumMatrixElements,
                ["shape"],
                "sparse keeps a mask of \(shape.elementCount) elements; at most "
                    + "\(min(limits.maximumMatrixElements, SparsePattern.rowLimit - 1)) are allowed"
            )
        }
        let zeros = (sparsity * Double(rows)).rounded(.up)
        guard zeros.isFinite else {
            throw .refused("sparsity", "\(sparsity) of \(rows) rows is not a number of rows")
        }
        // As in a Python slice, a negative count leaves out that many rows from the end.
        let count = zeros >= Double(rows) ? rows : zeros <= -Double(rows) ? 0 : Int(zeros)
        zerosPerColumn = count >= 0 ? count : rows + count
    }

    /// Number of words that one column's permutation draws.
    var wordsPerColumn: UInt64 { UInt64(max(0, rows - 1)) }
}
