/// Builds modules as their constructors do: each call draws on from the same stream.
struct LayerBuilder {
    /// What a slot of a module refers to: a tensor, and how it is initialised by whatever came last.
    struct Cell: Sendable {
        let shape: Shape
        let dtype: DType
        var initialization: Initialization
    }

    var plan: PlanBuilder
    private(set) var cells: [Cell] = []
    /// Element type of the layer that is being built.
    private var dtype: DType = .float32
    private let usesDefaults: Bool
    private var moduleCount = 0
    /// Layers around the one that is being built, which has them in its arguments or is made by them.
    private var nesting = 0

    init(plan: PlanBuilder, usesDefaults: Bool) {
        self.plan = plan
        self.usesDefaults = usesDefaults
    }

    /// Builds a layer of the table.
    ///
    /// - Throws: `InitError`, with the path from the layer's own request.
    mutating func build(_ request: LayerRequest) throws(InitError) -> Module {
        guard let type = LayerType.named(request.type) else {
            throw .unknown("layer type", request.type, in: ["type"], known: LayerType.all.map(\.name))
        }
        let given = type.acceptsAnyArgument ? Arguments() : request.arguments
        let arguments = try BoundArguments(given, for: type.parameters, of: type.name)
        guard nesting < plan.limits.maximumNesting else {
            throw InitError(
                .tooLarge,
                [],
                "layers are nested more than \(plan.limits.maximumNesting) deep (--max-nesting)"
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

    /// Builds a layer that another one is made of.
    mutating func build(_ type: String, _ arguments: [String: ParameterValue]) throws(InitError) -> Module {
        try build(LayerRequest(type: type, dtype: dtype, arguments: Arguments(arguments)))
    }

    /// Counts modules that are about to be built.
    ///
    /// - Throws: `tooLarge` where that would be more than a model may have.
    mutating func reserve(modules count: Int) throws(InitError) {
        try checkRoom(modules: count)
        moduleCount += count
    }

    /// Checks that as many modules can still be built.
    func checkRoom(modules count: Int) throws(InitError) {
        guard count <= plan.limits.maximumLayers - moduleCount else {
            throw InitError(
                .tooLarge,
                [],
                "the model has more than \(plan.limits.maximumLayers) layers (--max-layers)"
            )
        }
    }

    /// Another module with the same values, each to be changed on its own from now on.
    mutating func copy(_ module: Module) throws(InitError) -> Module {
        try reserve(modules: module.count)
        var copy = module
        try copy.mapSlots { (slot: Module.Slot, _: String) throws(InitError) in
            try self.slot(slot.name, isParameter: slot.isParameter, cells[slot.cell])
        }
        return copy
    }

    private mutating func slot(_ name: String, isParameter: Bool = true, _ cell: Cell) throws(InitError) -> Module.Slot
    {
        guard cells.count < plan.limits.maximumTensors else {
            throw InitError(
                .tooLarge,
                [],
                "the model has more than \(plan.limits.maximumTensors) tensors (--max-tensors)"
            )
        }
        cells.append(cell)
        return Module.Slot(name: name, isParameter: isParameter, cell: cells.count - 1)
    }
}

/// What constructors do to their parameters.
extension LayerBuilder {
    /// Draws a parameter by a method of `torch.nn.init`.
    mutating func parameter(
        _ name: String,
        _ shape: Shape,
        _ method: String,
        _ arguments: [String: ParameterValue] = [:]
    ) throws(InitError) -> Module.Slot {
        let initialization: Initialization
        do {
            initialization = try self.initialization(shape, method, Arguments(arguments))
        } catch {
            // A layer has no shape of its own that could be at fault: its parameter is.
            throw error.path == ["shape"]
                ? InitError(error.kind, [], "\(error.detail) (at \(name.quotedForMessage))") : error
        }
        return try slot(name, Cell(shape: shape, dtype: dtype, initialization: initialization))
    }

    /// A parameter without a module, drawn by a method of `torch.nn.init` with a client's arguments.
    mutating func parameter(
        _ name: String,
        _ shape: Shape,
        _ method: String,
        _ arguments: Arguments,
        dtype: DType
    ) throws(InitError) -> Module.Slot {
        let initialization = try draw(method, arguments, shape: shape, dtype: dtype)
        return try slot(name, Cell(shape: shape, dtype: dtype, initialization: initialization))
    }

    /// A parameter of one value.
    mutating func parameter(_ name: String, _ shape: Shape, filledWith value: Double) throws(InitError) -> Module.Slot {
        let initialization = try plan.fill(value, shape: shape, dtype: dtype)
        return try slot(name, Cell(shape: shape, dtype: dtype, initialization: initialization))
    }

    /// A tensor of the state dict that is not trained.
    mutating func buffer(
        _ name: String,
        _ shape: Shape,
        _ dtype: DType? = nil,
        filledWith value: Double
    ) throws(InitError) -> Module.Slot {
        let dtype = dtype ?? self.dtype
        let initialization = try plan.fill(value, shape: shape, dtype: dtype)
        return try slot(name, isParameter: false, Cell(shape: shape, dtype: dtype, initialization: initialization))
    }

    /// The weight of `nn.Linear` and the convolutions: `kaiming_uniform_` with a slope of √5.
    mutating func kaimingWeight(_ shape: Shape) throws(InitError) -> Module.Slot {
        try parameter("weight", shape, "kaiming_uniform", ["a": .number(5.0.squareRoot())])
    }

    /// Their bias: uniform within 1 / √fan_in of the weight.
    mutating func bias(_ size: Int, weight: Shape) throws(InitError) -> Module.Slot {
        let fanIn = try Fan(of: weight).fanIn
        return try uniform("bias", try Shape([size]), bound: fanIn > 0 ? 1 / Double(fanIn).squareRoot() : 0)
    }

    /// A parameter uniform within ±bound.
    mutating func uniform(_ name: String, _ shape: Shape, bound: Double) throws(InitError) -> Module.Slot {
        // A bound of 0 is the integer 0 in PyTorch, whose negative is not −0.
        try parameter(name, shape, "uniform", ["a": .number(bound == 0 ? 0 : -bound), "b": .number(bound)])
    }

    /// Overwrites a parameter that has been drawn.
    mutating func overwrite(_ slot: Module.Slot, with value: Double) throws(InitError) {
        let cell = cells[slot.cell]
        cells[slot.cell].initialization = try plan.fill(value, shape: cell.shape, dtype: cell.dtype)
    }

    /// Draws a parameter anew.
    mutating func redraw(
        _ slot: Module.Slot,
        _ method: String,
        _ arguments: Arguments = Arguments()
    ) throws(InitError) {
        let cell = cells[slot.cell]
        cells[slot.cell].initialization = try draw(method, arguments, shape: cell.shape, dtype: cell.dtype)
    }

    /// Draws a parameter anew as part of a constructor.
    mutating func redrawDefault(_ slot: Module.Slot, _ method: String) throws(InitError) {
        if usesDefaults { try redraw(slot, method) }
    }

    /// Sets a row of a matrix to zero.
    mutating func zeroRow(_ row: Int, of slot: Module.Slot) {
        let columns = cells[slot.cell].shape.dimensions[1]
        cells[slot.cell].initialization.zeroed = row * columns..<(row + 1) * columns
    }

    /// Marks the rule that initialised a cell.
    mutating func setRule(_ rule: RuleReference, of slot: Module.Slot) {
        cells[slot.cell].initialization.rule = rule
    }

    /// What a constructor makes of a parameter: the method's draw, or nothing where the defaults are left out.
    private mutating func initialization(
        _ shape: Shape,
        _ method: String,
        _ arguments: Arguments
    ) throws(InitError) -> Initialization {
        usesDefaults
            ? try draw(method, arguments, shape: shape, dtype: dtype) : try plan.fill(0, shape: shape, dtype: dtype)
    }

    private mutating func draw(
        _ method: String,
        _ arguments: Arguments,
        shape: Shape,
        dtype: DType
    ) throws(InitError) -> Initialization {
        guard let method = InitMethod.named(method) else {
            throw .unknown("method", method, in: ["method"], known: InitMethod.all.map(\.name))
        }
        return try plan.draw(method, arguments, shape: shape, dtype: dtype)
    }
}
