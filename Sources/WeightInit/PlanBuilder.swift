internal import TorchRandom

/// Puts draws one after the other on a stream, and tensors beside each other.
struct PlanBuilder {
    let seed: Seed
    let limits: Limits
    /// Bytes that a tensor may have when it is drawn: where only blocks are wanted, that says nothing of what is sent.
    private let drawnByteLimit: Int
    private var draws: [Draw] = []
    /// What takes the place of `draws` where every tensor has a generator of its own.
    private var detachedDraws: [Draw] = []
    private var tensors: [PlannedTensor] = []
    private var position: StreamPosition? = .start
    private var byteCount = 0

    init(seed: Seed, limits: Limits, slices: Bool) {
        self.seed = seed
        self.limits = limits
        drawnByteLimit = slices ? .max : limits.maximumTensorBytes
    }

    /// Draws a tensor and adds it to the plan.
    ///
    /// - Throws: `InitError`, with the path from the tensor's own request.
    mutating func add(_ request: TensorRequest) throws(InitError) {
        guard let method = InitMethod.named(request.method) else {
            throw .unknown("method", request.method, in: ["method"], known: InitMethod.all.map(\.name))
        }
        let initialization = try draw(method, request.arguments, shape: request.shape, dtype: request.dtype)
        try add(request.name, shape: request.shape, dtype: request.dtype, slice: request.slice, initialization)
    }

    /// Adds a tensor that has been drawn, or a block of it.
    mutating func add(
        _ name: String,
        shape: Shape,
        dtype: DType,
        isParameter: Bool = true,
        slice: Slice? = nil,
        _ initialization: Initialization
    ) throws(InitError) {
        let tensor = try PlannedTensor(
            name: name,
            fullShape: shape,
            slice: slice,
            dtype: dtype,
            isParameter: isParameter,
            initialization: initialization
        )
        // Bytes that are not sent are not counted.
        byteCount = try PlanBuilder.byteCount(
            tensor.shape,
            dtype,
            besides: byteCount,
            limit: limits.maximumTensorBytes
        )
        tensors.append(tensor)
    }

    /// Calls a method on a tensor of a shape, the next call on the stream.
    mutating func draw(
        _ method: InitMethod,
        _ arguments: Arguments = Arguments(),
        shape: Shape,
        dtype: DType
    ) throws(InitError) -> Initialization {
        guard let format = dtype.floatFormat else {
            throw .invalid("dtype", "\(dtype.rawValue) cannot be initialised")
        }
        _ = try PlanBuilder.byteCount(shape, dtype, besides: 0, limit: drawnByteLimit)
        let resolution = try method.resolve(
            InitMethod.Context(
                arguments: try BoundArguments(arguments, for: method.parameters, of: method.name),
                shape: shape,
                format: format,
                limits: limits
            )
        )
        return try draw(resolution, method: method.name, formula: method.formula, count: shape.elementCount, dtype)
    }

    /// A tensor of one value, which draws nothing.
    mutating func fill(_ value: Double, shape: Shape, dtype: DType) throws(InitError) -> Initialization {
        try draw(
            InitMethod.Resolution(recipe: .constant(value)),
            method: value == 0 ? "zeros" : value == 1 ? "ones" : "constant",
            formula: "\(value)",
            count: shape.elementCount,
            dtype
        )
    }

    private mutating func draw(
        _ resolution: InitMethod.Resolution,
        method: String,
        formula: String,
        count: Int,
        _ dtype: DType
    ) throws(InitError) -> Initialization {
        let start = position
        let end = try resolution.recipe.end(count: count, dtype: dtype, from: start ?? .start)
        let words = try words(of: resolution.recipe, count: count, dtype: dtype, from: start)
        draws.append(
            Draw(
                recipe: resolution.recipe,
                count: count,
                dtype: dtype,
                seed: seed.effective,
                start: start,
                words: words
            )
        )
        position = start == nil ? nil : end
        return Initialization(
            method: method,
            formula: formula,
            fan: resolution.fan,
            mode: resolution.mode,
            gain: resolution.gain,
            mean: resolution.mean,
            std: resolution.std,
            bound: resolution.bound,
            interval: resolution.interval,
            warnings: resolution.warnings,
            seed: seed.effective,
            start: start,
            words: words,
            draw: draws.count - 1
        )
    }

    /// The words that a draw takes, where that is known without its values, even where its start is not.
    private func words(
        of recipe: Recipe,
        count: Int,
        dtype: DType,
        from start: StreamPosition?
    ) throws(InitError) -> UInt64? {
        // Only a cached sample can make a difference, and where both ways agree it does not.
        let starts =
            start.map { [$0] } ?? [.start, StreamPosition(word: 0, cachedSample: 0)]
        var words: Set<UInt64?> = []
        for start in starts {
            let end = try recipe.end(count: count, dtype: dtype, from: start)
            words.insert(end.map { $0.word - start.word })
        }
        return words.count == 1 ? words.first ?? nil : nil
    }

    private static func byteCount(
        _ shape: Shape,
        _ dtype: DType,
        besides others: Int,
        limit: Int
    ) throws(InitError) -> Int {
        let (bytes, overflow) = shape.elementCount.multipliedReportingOverflow(by: dtype.itemSize)
        let (sum, sumOverflow) = others.addingReportingOverflow(bytes)
        guard !overflow, !sumOverflow, sum <= limit else {
            throw .tooLarge(
                "shape",
                "\(shape.elementCount) elements of \(dtype.rawValue)\(others == 0 ? "" : ", with what stands before them,") "
                    + "are over the limit of "
                    + (limit == .max ? "2^63 − 1 bytes, sliced or not" : "\(limit) bytes (--max-tensor-bytes)")
            )
        }
        return sum
    }

    /// Gives an initialisation a generator of its own, seeded with these bits, in place of its part of the stream.
    ///
    /// To be done with all tensors of a plan or with none.
    mutating func detach(_ initialization: Initialization, seed: UInt32) throws(InitError) -> Initialization {
        let shared = draws[initialization.draw]
        let words = try words(of: shared.recipe, count: shared.count, dtype: shared.dtype, from: .start)
        detachedDraws.append(
            Draw(
                recipe: shared.recipe,
                count: shared.count,
                dtype: shared.dtype,
                seed: seed,
                start: .start,
                words: words
            )
        )
        var detached = initialization
        detached.seed = seed
        detached.start = .start
        detached.words = words
        detached.draw = detachedDraws.count - 1
        return detached
    }

    func finish(ties: [Tie] = []) -> Plan {
        Plan(
            seed: seed,
            tensors: tensors,
            ties: ties,
            byteCount: byteCount,
            draws: detachedDraws.isEmpty ? draws : detachedDraws
        )
    }
}
