internal import ByteText

/// Builds modules as their constructors do: each call continues the same stream of random numbers.
struct LayerBuilder {
    /// A tensor that slots of modules refer to.
    struct Cell: Sendable {
        /// Index of the draw that initialised the tensor last; `nil` if steps write all of its elements.
        var draw: Int?
        /// The rule that initialised the tensor.
        var rule: RuleReference?
        /// The tensor's elements after all operations so far.
        var content: TensorContent
        /// Type in which the tensor is sent; `nil` for its own.
        var cast: DType?
        /// `true` if the tensor is in the state dict.
        var isPersistent = true
        /// The tensor's own generator; `nil` if it draws from the request's generator.
        var stream: DrawStream?
        /// Indices of the steps that have written to the tensor.
        var steps: [Int] = []

        var shape: Shape { content.shape }
        var dtype: DType { content.dtype }
    }

    var plan: PlanBuilder
    var cells: [Cell] = []
    /// Type in which the tensors of the current entry are sent.
    var cast: DType?
    /// Element type of the layer that is being built.
    private var dtype: DType = .float32
    private let usesDefaults: Bool
    private let isCancelled: () -> Bool
    private var moduleCount = 0
    /// Number of norms that steps have taken.
    var normCount = 0
    /// Number of layers that are being built, one inside the other: as an argument or as a part.
    private var nesting = 0

    init(plan: PlanBuilder, usesDefaults: Bool, isCancelled: @escaping () -> Bool) {
        self.plan = plan
        self.usesDefaults = usesDefaults
        self.isCancelled = isCancelled
    }

    /// - Throws: `cancelled` if nobody waits for the plan any more.
    func checkIsWanted() throws(InitError) {
        if isCancelled() { throw .cancelled }
    }

    /// Builds a layer of the table.
    ///
    /// - Throws: `InitError`, whose path begins at the layer's own request.
    mutating func build(_ request: LayerRequest) throws(InitError) -> Module {
        guard let type = LayerType.named(request.type) else {
            throw .unknown("layer type", request.type, in: ["type"], known: LayerType.all.map(\.name))
        }
        let given = type.acceptsAnyArgument ? Arguments() : request.arguments
        let arguments = try BoundArguments(given, for: type.parameters, of: type.name)
        guard nesting < plan.limits.maximumNesting else {
            throw InitError(
                over: \Limits.maximumNesting,
                [],
                "layers are nested more than \(plan.limits.maximumNesting) deep"
            )
        }
        try reserve(modules: 1)
        let outer = dtype
        dtype = request.dtype
        nesting += 1
        defer {
            dtype = outer
            nesting -= 1
        }
        let module = try type.build(&self, LayerArguments(arguments, dtype: request.dtype))
        return Module(types: [type.name] + type.bases, slots: module.slots, children: module.children)
    }

    /// Builds a layer that is a part of the current one, with its dtype.
    mutating func build(_ type: Text, _ arguments: [Text: ParameterValue]) throws(InitError) -> Module {
        try build(LayerRequest(type: type, dtype: dtype, arguments: Arguments(arguments)))
    }

    /// Counts modules that are about to be built.
    ///
    /// - Throws: `tooLarge` if the model would have more modules than the limit.
    mutating func reserve(modules count: Int) throws(InitError) {
        try checkRoom(modules: count)
        moduleCount += count
    }

    /// Checks that `count` more modules are within the limit.
    func checkRoom(modules count: Int) throws(InitError) {
        guard count <= plan.limits.maximumLayers - moduleCount else {
            throw InitError(
                over: \Limits.maximumLayers,
                [],
                "the model has more than \(plan.limits.maximumLayers) layers"
            )
        }
    }

    /// Copies a module: the copy has the same values in its own cells.
    mutating func copy(_ module: Module) throws(InitError) -> Module {
        try reserve(modules: module.count)
        var copy = module
        try copy.mapSlots { (slot: Module.Slot, _: Text) throws(InitError) in
            try self.slot(slot.name, isParameter: slot.isParameter, cells[slot.cell])
        }
        return copy
    }

    private mutating func slot(_ name: Text, isParameter: Bool = true, _ cell: Cell) throws(InitError) -> Module.Slot {
        try checkIsWanted()
        guard cells.count < plan.limits.maximumTensors else {
            throw InitError(
                over: \Limits.maximumTensors,
                [],
                "the model has more than \(plan.limits.maximumTensors) tensors"
            )
        }
        cells.append(cell)
        cells[cells.count - 1].cast = cast
        return Module.Slot(name: name, isParameter: isParameter, cell: cells.count - 1)
    }
}

/// Calls that constructors make to initialise their parameters.
extension LayerBuilder {
    /// Draws a parameter by a method of `torch.nn.init`.
    mutating func parameter(
        _ name: Text,
        _ shape: Shape,
        _ method: InitMethod,
        _ arguments: [Text: ParameterValue] = [:]
    ) throws(InitError) -> Module.Slot {
        let draw: Int
        do {
            draw =
                usesDefaults
                ? try plan.draw(method, Arguments(arguments), shape: shape, dtype: dtype)
                : try plan.fill(0, shape: shape, dtype: dtype)
        } catch {
            // The request of a layer has no member `shape`, so the message names the parameter instead.
            throw error.path == ["shape"] ? error.moved(to: [], " (at \(name.quotedForMessage))") : error
        }
        return try slot(name, cell(shape, dtype, draw))
    }

    /// A tensor without a module, as the client's request describes it.
    mutating func tensor(_ name: Text, _ request: TensorRequest) throws(InitError) -> Module.Slot {
        var cell: Cell
        if let method = request.method {
            let draw = try plan.draw(method, request.arguments, shape: request.shape, dtype: request.dtype)
            cell = self.cell(request.shape, request.dtype, draw)
        } else {
            try plan.checkSize(request.shape, request.dtype)
            cell = Cell(draw: nil, content: TensorContent(shape: request.shape, dtype: request.dtype))
        }
        cell.isPersistent = request.isPersistent
        let isParameter = request.dtype.floatFormat != nil && request.isPersistent
        return try slot(name, isParameter: isParameter, cell)
    }

    private func cell(_ shape: Shape, _ dtype: DType, _ draw: Int) -> Cell {
        Cell(draw: draw, content: TensorContent(shape: shape, dtype: dtype, draw: draw))
    }

    /// A parameter with the same value in all elements.
    mutating func parameter(_ name: Text, _ shape: Shape, filledWith value: Double) throws(InitError) -> Module.Slot {
        try slot(name, cell(shape, dtype, try plan.fill(value, shape: shape, dtype: dtype)))
    }

    /// A buffer: a tensor of the state dict that is not trained.
    mutating func buffer(
        _ name: Text,
        _ shape: Shape,
        _ dtype: DType? = nil,
        filledWith value: Double
    ) throws(InitError) -> Module.Slot {
        let dtype = dtype ?? self.dtype
        return try slot(name, isParameter: false, cell(shape, dtype, plan.fill(value, shape: shape, dtype: dtype)))
    }

    /// The weight of `nn.Linear` and the convolutions: `kaiming_uniform_` with a slope of √5.
    mutating func kaimingWeight(_ shape: Shape) throws(InitError) -> Module.Slot {
        try parameter("weight", shape, .kaimingUniform, ["a": .number(5.0.squareRoot())])
    }

    /// The bias of `nn.Linear` and the convolutions: uniform within ±1 / √fan_in, with the weight's fan-in.
    mutating func bias(_ size: Int, weight: Shape) throws(InitError) -> Module.Slot {
        let fanIn = try Fan(of: weight).fanIn
        return try uniform("bias", try Shape([size]), bound: fanIn > 0 ? 1 / Double(fanIn).squareRoot() : 0)
    }

    /// A parameter that is uniform within ±bound.
    mutating func uniform(_ name: Text, _ shape: Shape, bound: Double) throws(InitError) -> Module.Slot {
        // In PyTorch, a bound of 0 is an integer, so that the lower bound is 0 and not −0.
        try parameter(name, shape, .uniform, ["a": .number(bound == 0 ? 0 : -bound), "b": .number(bound)])
    }

    /// Overwrites all elements of a parameter, whose draw has moved the generator.
    mutating func overwrite(_ slot: Module.Slot, with value: Double) throws(InitError) {
        let cell = cells[slot.cell]
        replace(slot, by: try plan.fill(value, shape: cell.shape, dtype: cell.dtype))
    }

    /// Draws a parameter again.
    mutating func redraw(
        _ slot: Module.Slot,
        _ method: InitMethod,
        _ arguments: Arguments = Arguments()
    ) throws(InitError) {
        let cell = cells[slot.cell]
        replace(slot, by: try plan.draw(method, arguments, shape: cell.shape, dtype: cell.dtype))
    }

    private mutating func replace(_ slot: Module.Slot, by draw: Int) {
        let cell = cells[slot.cell]
        cells[slot.cell].draw = draw
        cells[slot.cell].rule = nil
        cells[slot.cell].content = TensorContent(shape: cell.shape, dtype: cell.dtype, draw: draw)
    }

    /// Draws a parameter again, as a part of its constructor; does nothing without `usesDefaults`.
    mutating func redrawDefault(_ slot: Module.Slot, _ method: InitMethod) throws(InitError) {
        if usesDefaults { try redraw(slot, method) }
    }

    /// Sets a row of a matrix to zero.
    mutating func zeroRow(_ row: Int, of slot: Module.Slot) throws(InitError) {
        let cell = cells[slot.cell]
        let region = try Region(Slice(row: row), of: cell.shape)
        let zeros = try plan.fill(0, shape: region.shape, dtype: cell.dtype)
        try cells[slot.cell].content.write(
            .draw(zeros, region: region),
            limit: plan.limits.maximumOverlays
        )
    }

    /// Records the rule that initialised a parameter.
    mutating func setRule(_ rule: RuleReference, of slot: Module.Slot) {
        cells[slot.cell].rule = rule
    }

    /// Gives a cell its own generator, and repeats the cell's draw with it.
    mutating func detach(_ cell: Int, seed: UInt32) throws(InitError) {
        var stream = DrawStream(seed: seed)
        if let draw = cells[cell].draw {
            let redrawn = try plan.redraw(draw, on: &stream)
            cells[cell].content.replace(draw: draw, by: redrawn)
            cells[cell].draw = redrawn
        }
        cells[cell].stream = stream
    }
}
