internal import ByteText
internal import TorchRandom

/// The state of a generator between two draws: its seed, and the position of the next draw.
struct DrawStream: Sendable {
    let seed: UInt32
    /// `nil` after a draw whose number of words depends on its values.
    var position: StreamPosition? = .start
    /// Index of the latest draw.
    var last: Int?
}

/// Collects the draws of a plan, one after the other on their streams, and its tensors.
struct PlanBuilder {
    let seed: Seed
    let limits: Limits
    /// Largest number of bytes of a tensor as it is drawn. There is no limit in a request for blocks, because only the
    /// blocks are sent.
    private let drawnByteLimit: Int
    private(set) var draws: [Draw] = []
    private(set) var tensors: [PlannedTensor] = []
    private(set) var unsent: [PlannedTensor] = []
    private var stream: DrawStream
    private(set) var byteCount = 0
    private(set) var literalBytes = 0

    init(seed: Seed, limits: Limits, slices: Bool) {
        self.seed = seed
        self.limits = limits
        drawnByteLimit = slices ? .max : limits.maximumTensorBytes
        stream = DrawStream(seed: seed.effective)
    }

    /// Draws a tensor and adds it to the plan.
    ///
    /// - Throws: `InitError`, whose path begins at the tensor's own request.
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

    /// Adds a drawn tensor, or a block of one.
    ///
    /// - Parameter isSent: `true` if the tensor is sent; the limit on bytes counts sent tensors only.
    mutating func add(_ tensor: PlannedTensor, isSent: Bool = true) throws(InitError) {
        guard isSent else {
            unsent.append(tensor)
            return
        }
        byteCount = try PlanBuilder.byteCount(
            tensor.shape,
            tensor.dtype,
            besides: byteCount,
            limit: limits.maximumTensorBytes
        )
        tensors.append(tensor)
    }

    /// Draws a tensor by a method, from the current position of the request's stream.
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
        // A copy, because a part of self cannot be passed inout to a mutating method.
        var stream = self.stream
        defer { self.stream = stream }
        return try draw(method, arguments, shape: shape, dtype: dtype, on: &stream, step: step)
    }

    /// Moves the request's stream as a method would, but keeps no tensor: the number of elements has no limit.
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

    /// - Throws: `tooLarge` for a tensor with too many bytes.
    func checkSize(_ shape: Shape, _ dtype: DType) throws(InitError) {
        _ = try PlanBuilder.byteCount(shape, dtype, besides: 0, limit: drawnByteLimit)
    }

    /// Draws a tensor by a method, from the current position of a stream.
    ///
    /// - Parameters:
    ///   - step: Index of the step that draws.
    ///   - isKept: `true` if the elements are kept. Dropped elements take no memory, so their number has no limit.
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

    /// Adds a draw of one value for all elements, which takes no words.
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
        draws.append(
            try Draw(
                method: method,
                formula: formula,
                resolution: resolution,
                count: count,
                dtype: dtype,
                step: step,
                index: draws.count,
                on: &stream
            )
        )
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
                "\(shape.elementCount) elements of \(dtype.rawValue)\(others == 0 ? "" : ", with all tensors before them,") "
                    + "are over the limit of " + (limit == .max ? "2^63 − 1 bytes, sliced or not" : "\(limit) bytes")
            )
            if limit == .max { error.limit = nil }
            throw error
        }
        return sum
    }

    /// Repeats a draw on another stream.
    ///
    /// - Returns: The index of the new draw.
    mutating func redraw(_ index: Int, on stream: inout DrawStream) throws(InitError) -> Int {
        let draw = draws[index]
        return try self.draw(
            draw.resolution,
            method: draw.method,
            formula: draw.formula,
            count: draw.count,
            draw.dtype,
            on: &stream,
            step: nil
        )
    }

    /// The draws that the sent elements depend on, in order.
    var neededDraws: [Int] {
        let read = tensors.flatMap(\.content.draws)
        // Nearly all requests read each draw once and in order; sorting is for the others.
        let isInOrder = zip(read, read.dropFirst()).allSatisfy { $0 < $1 }
        return isInOrder ? read : Set(read).sorted()
    }
}
