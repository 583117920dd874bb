internal import ByteText
internal import TorchRandom

/// A generator under way: its seed, and the position of the next draw.
struct DrawStream: Sendable {
    let seed: UInt32
    /// `nil` after a draw whose number of words depends on its values.
    var position: StreamPosition? = .start
    /// Index of the latest draw.
    var last: Int?
}

/// Puts draws one after the other on a stream, and tensors beside each other.
struct PlanBuilder {
    let seed: Seed
    let limits: Limits
    /// Bytes that a tensor may have when it is drawn: if only blocks are wanted, its own size says nothing of what is sent.
    private let drawnByteLimit: Int
    private(set) var draws: [Draw] = []
    private var tensors: [PlannedTensor] = []
    private var unsent: [PlannedTensor] = []
    private var stream: DrawStream
    private var byteCount = 0
    private var literalBytes = 0

    init(seed: Seed, limits: Limits, slices: Bool) {
        self.seed = seed
        self.limits = limits
        drawnByteLimit = slices ? .max : limits.maximumTensorBytes
        stream = DrawStream(seed: seed.effective)
    }

    /// Draws a tensor and adds it to the plan.
    ///
    /// - Throws: `InitError`, with the path from the tensor's own request.
    mutating func add(_ request: TensorRequest) throws(InitError) {
        guard let method = request.method else {
            throw InitError(.invalid, ["method"], "is missing", allowed: InitMethod.all.map(\.name))
        }
        let draw = try draw(method, request.arguments, shape: request.shape, dtype: request.dtype)
        try add(
            PlannedTensor(
                name: request.name,
                content: TensorContent(shape: request.shape, dtype: request.dtype, draw: draw),
                slice: request.slice,
                cast: request.cast,
                isParameter: request.dtype.floatFormat != nil,
                draw: draw
            )
        )
    }

    /// Adds a tensor that has been drawn, or a block of it.
    ///
    /// - Parameter isSent: Whether its bytes are part of what is sent.
    mutating func add(_ tensor: PlannedTensor, isSent: Bool = true) throws(InitError) {
        guard isSent else {
            unsent.append(tensor)
            return
        }
        // Bytes that are not sent are not counted.
        byteCount = try PlanBuilder.byteCount(
            tensor.shape,
            tensor.dtype,
            besides: byteCount,
            limit: limits.maximumTensorBytes
        )
        tensors.append(tensor)
    }

    /// Calls a method on a tensor of a shape, the next call on the request's stream.
    ///
    /// - Parameter step: Index of the step that draws.
    /// - Returns: The index of the draw.
    mutating func draw(
        _ method: InitMethod,
        _ arguments: Arguments = Arguments(),
        shape: Shape,
        dtype: DType,
        step: Int? = nil
    ) throws(InitError) -> Int {
        // Taken out, so that self can be changed.
        var stream = self.stream
        defer { self.stream = stream }
        return try draw(method, arguments, shape: shape, dtype: dtype, on: &stream, step: step)
    }

    /// Moves the request's stream as a method would, without a tensor: there is no limit on the number of elements.
    mutating func discard(
        _ method: InitMethod,
        _ arguments: Arguments,
        shape: Shape,
        dtype: DType,
        step: Int
    ) throws(InitError) {
        var stream = self.stream
        defer { self.stream = stream }
        _ = try draw(method, arguments, shape: shape, dtype: dtype, on: &stream, step: step, isKept: false)
    }

    /// - Throws: `tooLarge` for a tensor with more bytes than are allowed.
    func checkSize(_ shape: Shape, _ dtype: DType) throws(InitError) {
        _ = try PlanBuilder.byteCount(shape, dtype, besides: 0, limit: drawnByteLimit)
    }

    /// Calls a method on a tensor of a shape, the next call on a stream.
    ///
    /// - Parameters:
    ///   - step: Index of the step that draws.
    ///   - isKept: Whether the elements are kept. Those that are dropped take no memory and meet no limit.
    /// - Returns: The index of the draw.
    mutating func draw(
        _ method: InitMethod,
        _ arguments: Arguments,
        shape: Shape,
        dtype: DType,
        on stream: inout DrawStream,
        step: Int? = nil,
        isKept: Bool = true
    ) throws(InitError) -> Int {
        guard dtype.floatFormat != nil || method.takesIntegers else {
            throw .refused("dtype", "\(method.name) makes floating-point numbers, not \(dtype.rawValue)")
        }
        if isKept { try checkSize(shape, dtype) }
        let resolution = try method.resolve(
            InitMethod.Context(
                arguments: try BoundArguments(arguments, for: method.parameters, of: method.name),
                shape: shape,
                dtype: dtype,
                limits: limits,
                literalBytesLeft: limits.maximumLiteralBytes - literalBytes
            )
        )
        if case .literal(let literal) = resolution.recipe { literalBytes += literal.bytes.count }
        return try draw(
            resolution,
            method: method.name,
            formula: method.formula,
            count: shape.elementCount,
            dtype,
            on: &stream,
            step: step
        )
    }

    /// A tensor of one value, which draws nothing.
    ///
    /// - Returns: The index of the draw.
    mutating func fill(_ value: Double, shape: Shape, dtype: DType) throws(InitError) -> Int {
        var stream = self.stream
        defer { self.stream = stream }
        return try draw(
            InitMethod.Resolution(
                recipe: .constant(bits: try Scalar.number(value).bits(dtype, parameter: "value"))
            ),
            method: value == 0 ? "zeros" : value == 1 ? "ones" : "constant",
            formula: "\(value)",
            count: shape.elementCount,
            dtype,
            on: &stream,
            step: nil
        )
    }

    private mutating func draw(
        _ resolution: InitMethod.Resolution,
        method: Text,
        formula: String,
        count: Int,
        _ dtype: DType,
        on stream: inout DrawStream,
        step: Int?
    ) throws(InitError) -> Int {
        try append(
            Draw(
                method: method,
                formula: formula,
                resolution: resolution,
                count: count,
                dtype: dtype,
                seed: stream.seed,
                start: stream.position,
                step: step,
                previous: stream.last
            ),
            to: &stream
        )
    }

    private mutating func append(_ draw: Draw, to stream: inout DrawStream) throws(InitError) -> Int {
        var draw = draw
        stream.position = try draw.resolveWords()
        stream.last = draws.count
        draws.append(draw)
        return draws.count - 1
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
            var error = InitError(
                over: \Limits.maximumTensorBytes,
                ["shape"],
                "\(shape.elementCount) elements of \(dtype.rawValue)\(others == 0 ? "" : ", with what stands before them,") "
                    + "are over the limit of " + (limit == .max ? "2^63 − 1 bytes, sliced or not" : "\(limit) bytes")
            )
            if limit == .max { error.limit = nil }
            throw error
        }
        return sum
    }

    /// Makes a draw once more, as the first one on another stream.
    ///
    /// - Returns: The index of the new draw.
    mutating func redraw(_ index: Int, on stream: inout DrawStream) throws(InitError) -> Int {
        let draw = draws[index]
        return try append(
            Draw(
                method: draw.method,
                formula: draw.formula,
                resolution: draw.resolution,
                count: draw.count,
                dtype: draw.dtype,
                seed: stream.seed,
                start: stream.position,
                previous: stream.last
            ),
            to: &stream
        )
    }

    /// - Parameter firstDraw: The draws before it are only drafts.
    func finish(ties: [Tie] = [], firstDraw: Int = 0) -> Plan {
        Plan(
            seed: seed,
            tensors: tensors,
            unsent: unsent,
            ties: ties,
            byteCount: byteCount,
            allDraws: draws,
            firstDraw: firstDraw,
            neededDraws: neededDraws,
            literalByteCount: literalBytes
        )
    }

    private var neededDraws: [Int] {
        let read = tensors.flatMap(\.content.draws)
        // One draw, or each of many once, is how nearly all requests have them.
        let isInOrder = zip(read, read.dropFirst()).allSatisfy { $0 < $1 }
        return isInOrder ? read : Set(read).sorted()
    }
}
