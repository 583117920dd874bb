/// The elements of a tensor as what has been laid over one another: draws, literals, copies and arithmetic, each on all of the
/// tensor or on a block of it.
///
/// A value: a copy of it is the tensor at that point of the program.
struct TensorContent: Sendable {
    indirect enum Layer: Sendable {
        /// Elements of a draw, which has as many as the region, or as the tensor if that is `nil`.
        case draw(Int, region: Region?)
        /// Elements of another tensor, or of a block of it.
        case copy(TensorContent, of: Region?, region: Region?)
        /// Norms of another tensor, which are made before the first byte.
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
    /// Blocks that nothing has been written to, as ranges of the dimensions.
    private(set) var unwritten: [[Range<Int>]]
    /// Layers in all, those of what has been copied included.
    private(set) var weight = 0

    /// A tensor that has no elements yet.
    init(shape: Shape, dtype: DType) {
        self.shape = shape
        self.dtype = dtype
        unwritten = shape.elementCount == 0 ? [] : [shape.dimensions.map { 0..<$0 }]
    }

    /// A tensor that is one draw.
    init(shape: Shape, dtype: DType, draw: Int) {
        self.init(shape: shape, dtype: dtype)
        unwritten = []
        layers = [.draw(draw, region: nil)]
        weight = 1
    }

    /// Lays a draw or a copy over a region.
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
        // What lies under the same region is gone, and so is arithmetic on it.
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
    /// - Throws: `refused` where nothing has been written yet, `tooLarge` if too many layers lie over one another.
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

    /// Has the elements of one draw come from another one of the same kind.
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

    /// The blocks that are left of one after another has been cut out of it.
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

    /// The draws that it reads, each once for each time that it does. They are fewer than the limit of what lies over one another.
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

    /// The norms that it reads, by their indices, those that others are made of included.
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

    /// Work of making one element at most, without that of its draws, in generator words.
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
