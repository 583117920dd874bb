/// The elements of a tensor as a stack of layers: draws, copies, norms and arithmetic, each on the whole tensor or on a
/// block.
///
/// A struct, so that a copy is the tensor at this point of the program.
struct TensorContent: Sendable {
    indirect enum Layer: Sendable {
        /// Elements of a draw, as many as the region has, or as the tensor has if `region` is `nil`.
        case draw(Int, region: Region?)
        /// Elements of another tensor, or of a block of it.
        case copy(TensorContent, of: Region?, region: Region?)
        /// Norms of another tensor, which the preparation makes.
        case norm(WeightNorm, region: Region?)
        /// A chain of arithmetic, in order.
        case change([ElementOperation], region: Region?)

        var region: Region? {
            switch self {
            case .draw(_, let region), .copy(_, _, let region), .norm(_, let region), .change(_, let region): region
            }
        }
    }

    let shape: Shape
    let dtype: DType
    private(set) var layers: [Layer] = []
    /// Blocks without written elements, as ranges of the dimensions.
    private(set) var unwritten: [[Range<Int>]]
    /// Number of layers, including those of copied tensors.
    private(set) var weight = 0

    /// A tensor whose elements have not been written.
    init(shape: Shape, dtype: DType) {
        self.shape = shape
        self.dtype = dtype
        unwritten = shape.elementCount == 0 ? [] : [shape.dimensions.map { 0..<$0 }]
    }

    /// A tensor whose elements are one draw.
    init(shape: Shape, dtype: DType, draw: Int) {
        self.init(shape: shape, dtype: dtype)
        unwritten = []
        layers = [.draw(draw, region: nil)]
        weight = 1
    }

    /// Lays a draw, a copy or norms over a region, or over the whole tensor.
    ///
    /// - Throws: `tooLarge` if too many layers lie over one another.
    mutating func write(_ layer: Layer, limit: Int) throws(InitError) {
        let added = TensorContent.weight(of: layer)
        guard let region = layer.region else {
            (layers, weight, unwritten) = ([layer], added, [])
            try check(limit)
            return
        }
        guard region.shape.elementCount > 0 else { return }
        // The new layer covers earlier layers of the same region, arithmetic included.
        while let last = layers.last, last.region == region {
            layers.removeLast()
            weight -= TensorContent.weight(of: last)
        }
        layers.append(layer)
        weight += added
        unwritten = unwritten.flatMap { TensorContent.difference($0, region.ranges) }
        try check(limit)
    }

    /// Changes the elements of a region, or of all of the tensor.
    ///
    /// - Throws: `refused` if an element has not been written yet, `tooLarge` if too many layers lie over one another.
    mutating func change(_ operation: ElementOperation, region: Region?, limit: Int) throws(InitError) {
        try requireWritten(region)
        if case .change(let chain, let last)? = layers.last, last == region, chain.count < ElementOperation.longestChain
        {
            layers[layers.count - 1] = .change(chain + [operation], region: region)
        } else {
            layers.append(.change([operation], region: region))
            weight += 1
            try check(limit)
        }
    }

    /// - Throws: `refused` if an element of the region has never been written.
    func requireWritten(_ region: Region?) throws(InitError) {
        let isRead = unwritten.contains { box in
            guard let region else { return true }
            return zip(box, region.ranges).allSatisfy { $0.overlaps($1) }
        }
        guard !isRead else { throw InitError(.refused, [], "reads elements that nothing has been written to yet") }
    }

    /// Replaces a draw in all layers by another one with the same number of elements.
    mutating func replace(draw old: Int, by new: Int) {
        layers = layers.map { layer in
            if case .draw(old, let region) = layer { .draw(new, region: region) } else { layer }
        }
    }

    private func check(_ limit: Int) throws(InitError) {
        guard weight <= limit, unwritten.count <= limit else {
            throw InitError(
                over: \Limits.maximumOverlays,
                [],
                "more than \(limit) draws, copies and changes lie over one another in the tensor"
            )
        }
    }

    private static func weight(of layer: Layer) -> Int {
        switch layer {
        case .draw, .change: 1
        case .copy(let content, _, _): content.weight + 1
        case .norm(let norm, _): norm.content.weight + 1
        }
    }

    /// Cuts one block out of another, and returns the blocks that remain.
    private static func difference(_ box: [Range<Int>], _ cut: [Range<Int>]) -> [[Range<Int>]] {
        guard zip(box, cut).allSatisfy({ $0.overlaps($1) }) else { return [box] }
        var rest = box
        var pieces: [[Range<Int>]] = []
        for (dimension, range) in cut.enumerated() {
            let whole = rest[dimension]
            for side in [
                whole.lowerBound..<max(range.lowerBound, whole.lowerBound),
                min(range.upperBound, whole.upperBound)..<whole.upperBound,
            ] where !side.isEmpty {
                var piece = rest
                piece[dimension] = side
                pieces.append(piece)
            }
            rest[dimension] = whole.clamped(to: range)
        }
        return pieces
    }

    /// The draws that the tensor reads, each as often as it is read; at most `weight`.
    var draws: [Int] {
        layers.reduce(into: []) { draws, layer in
            switch layer {
            case .draw(let draw, _): draws.append(draw)
            case .copy(let content, _, _): draws += content.draws
            case .norm(let norm, _): draws += norm.content.draws
            case .change: break
            }
        }
    }

    /// The norms that the tensor reads, by their indices, including norms that other norms read.
    var norms: [Int: WeightNorm] {
        layers.reduce(into: [:]) { norms, layer in
            switch layer {
            case .draw, .change: break
            case .copy(let content, _, _): norms.merge(content.norms) { norm, _ in norm }
            case .norm(let norm, _):
                norms.merge(norm.content.norms) { norm, _ in norm }
                norms[norm.index] = norm
            }
        }
    }

    /// Largest work of making one element, without the work of its draws, in generator words.
    var workPerElement: Int {
        layers.reduce(1) { work, layer in
            let placing = layer.region == nil ? 0 : 4
            return switch layer {
            case .draw: work + placing
            case .norm: work + placing + 2
            case .copy(let content, let part, _): work + placing + content.workPerElement + (part == nil ? 1 : 2)
            case .change(let chain, _): work + placing + ElementOperation.work(of: chain)
            }
        }
    }

    /// `true` if elements pass through `erfinv`.
    var hasInverseError: Bool {
        layers.contains { layer in
            switch layer {
            case .draw: false
            case .copy(let content, _, _): content.hasInverseError
            case .norm(let norm, _): norm.content.hasInverseError
            case .change(let chain, _): chain.contains(.inverseError)
            }
        }
    }
}
