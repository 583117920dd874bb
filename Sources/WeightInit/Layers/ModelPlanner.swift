internal import Crypto

extension Plan {
    /// A model's state dict: the modules built in order, then the rules applied, all on one generator or each tensor on
    /// its own.
    ///
    /// - Throws: `InitError`, with the path from the model's request.
    public init(_ request: ModelRequest, seed: Seed, limits: Limits = Limits()) throws(InitError) {
        var planner = ModelPlanner(request, seed: seed, limits: limits)
        self = try planner.plan()
    }
}

/// Builds a model as a PyTorch program would, without making an element.
private struct ModelPlanner {
    private let request: ModelRequest
    private let limits: Limits
    private var builder: LayerBuilder
    private var ruleMatches = 0

    init(_ request: ModelRequest, seed: Seed, limits: Limits) {
        self.request = request
        self.limits = limits
        builder = LayerBuilder(plan: PlanBuilder(seed: seed, limits: limits), usesDefaults: request.usesDefaults)
    }

    mutating func plan() throws(InitError) -> Plan {
        var model = try block(request.entries, path: [], depth: 0)
        let slots = try index(model)
        try checkSlices(slots)
        try tie(&model, slots)
        try apply(request.passes, to: model, path: ["rules"])
        return try finish(model)
    }
}

// MARK: - Building

extension ModelPlanner {
    /// - Parameter path: To the object that holds the list.
    private mutating func block(
        _ entries: [ModelEntry],
        path: [String],
        depth: Int
    ) throws(InitError) -> Module {
        guard depth < limits.maximumNesting else {
            throw InitError(.tooLarge, path, "blocks are nested more than \(limits.maximumNesting) deep (--max-nesting)")
        }
        try builder.reserve(modules: 1)
        var module = Module(types: ["Module"])
        var names: Set<String> = []
        for (index, entry) in entries.enumerated() {
            let entryPath = path + (depth == 0 ? request.form.path(index) : ["layers", String(index)])
            let name = entry.name ?? String(index)
            guard names.insert(name).inserted else {
                throw InitError(
                    .invalid,
                    entryPath + ["name"],
                    "\(name.quotedForMessage) is the name of an entry before it"
                )
            }
            do {
                try add(entry, name: name, to: &module, path: entryPath, depth: depth)
            } catch {
                throw error.path.starts(with: entryPath) ? error : InitError(error.kind, entryPath + error.path, error.detail, allowed: error.allowed)
            }
        }
        return module
    }

    private mutating func add(
        _ entry: ModelEntry,
        name: String,
        to parent: inout Module,
        path: [String],
        depth: Int
    ) throws(InitError) {
        if case .parameter(let request) = entry.content {
            parent.slots.append(
                try builder.parameter(name, request.shape, request.method, request.arguments, dtype: request.dtype)
            )
            return
        }
        guard let repetitions = entry.repetitions else {
            parent.children.append((name, try module(entry, path: path, depth: depth)))
            return
        }
        guard repetitions >= 0 else { throw .invalid("repeat", "\(repetitions) is negative") }
        var copies: [Module] = []
        for _ in 0..<repetitions {
            copies.append(try module(entry, path: path, depth: depth))
            if copies.count == 1 {
                // Refused at once, and not after as many modules as are allowed have been built.
                let (modules, overflow) = copies[0].count.multipliedReportingOverflow(by: repetitions - 1)
                try builder.checkRoom(modules: overflow ? .max : modules)
            }
        }
        if name.contains("{}") {
            for (index, module) in copies.enumerated() {
                parent.children.append((name.replacing("{}", with: String(index), maxReplacements: 1), module))
            }
        } else {
            let list = copies.enumerated().map { (name: String($0.offset), module: $0.element) }
            parent.children.append((name, Module(types: ["ModuleList"], children: list)))
        }
    }

    private mutating func module(_ entry: ModelEntry, path: [String], depth: Int) throws(InitError) -> Module {
        let module: Module
        switch entry.content {
        case .layer(let request): module = try builder.build(request)
        case .block(let entries): module = try block(entries, path: path, depth: depth + 1)
        case .parameter: return Module(types: [])
        }
        try apply(entry.passes, to: module, path: path + ["rules"])
        return module
    }

    /// All slots by their names in the model.
    private func index(_ model: Module) throws(InitError) -> [String: Module.Slot] {
        var slots: [String: Module.Slot] = [:]
        var bytes = 0
        try model.walk { (module: Module, prefix: String) throws(InitError) in
            for slot in module.slots {
                let name = prefix + slot.name
                bytes += name.utf8.count
                guard bytes <= limits.maximumNameBytes else {
                    throw InitError(
                        .tooLarge,
                        [request.form.rawValue],
                        "the tensors' names are longer than \(limits.maximumNameBytes) bytes together (--max-name-bytes)"
                    )
                }
                guard slots.updateValue(slot, forKey: name) == nil else {
                    throw InitError(.invalid, [request.form.rawValue], "two tensors have the name \(name.quotedForMessage)")
                }
                guard slots.count <= limits.maximumTensors else {
                    throw InitError(
                        .tooLarge,
                        [request.form.rawValue],
                        "the model has more than \(limits.maximumTensors) tensors (--max-tensors)"
                    )
                }
            }
        }
        return slots
    }

    /// Makes one cell of two slots, as assigning a parameter does.
    private mutating func tie(_ model: inout Module, _ slots: [String: Module.Slot]) throws(InitError) {
        var replaced: [String: Int] = [:]
        for tie in request.ties {
            let path = ["tie", tie.name]
            guard let slot = slots[tie.name], slot.isParameter else {
                throw .unknown("parameter", tie.name, in: path, known: suggestions(tie.name, slots))
            }
            guard let target = slots[tie.target], target.isParameter else {
                throw .unknown("parameter", tie.target, in: path, known: suggestions(tie.target, slots))
            }
            guard tie.name != tie.target, replaced[tie.target] == nil else {
                throw InitError(.invalid, path, "\(tie.target.quotedForMessage) is itself only another name")
            }
            let (cell, targetCell) = (builder.cells[slot.cell], builder.cells[target.cell])
            guard cell.shape == targetCell.shape, cell.dtype == targetCell.dtype else {
                throw InitError(
                    .refused,
                    path,
                    "\(cell.shape) \(cell.dtype.rawValue) cannot be tied to "
                        + "\(tie.target.quotedForMessage), which is \(targetCell.shape) \(targetCell.dtype.rawValue)"
                )
            }
            replaced[tie.name] = target.cell
        }
        guard !replaced.isEmpty else { return }
        for tie in request.ties where request.ties.contains(where: { $0.target == tie.name }) {
            throw InitError(.invalid, ["tie", tie.name], "\(tie.name.quotedForMessage) is also a target")
        }
        model.mapSlots { slot, name in
            var slot = slot
            slot.cell = replaced[name] ?? slot.cell
            return slot
        }
    }

    private func checkSlices(_ slots: [String: Module.Slot]) throws(InitError) {
        // In order, so that the same request gets the same error.
        for name in request.slices.keys.sorted() {
            if let tie = request.ties.first(where: { $0.name == name }) {
                throw InitError(
                    .invalid,
                    ["slices", name],
                    "is another name of \(tie.target.quotedForMessage), which can be sliced"
                )
            }
            guard slots[name] != nil else {
                throw .unknown("tensor", name, in: ["slices", name], known: suggestions(name, slots))
            }
        }
    }

    /// A few of the names that a wrong one may stand for.
    private func suggestions(_ name: String, _ slots: [String: Module.Slot]) -> [String] {
        Array(slots.filter { $0.value.isParameter }.keys.sorted().orderedByDistance(to: name).prefix(8))
    }
}

// MARK: - Rules

extension ModelPlanner {
    /// Applies passes of rules to a module and all in it, in `modules()` order; names are as seen from that module.
    private mutating func apply(_ passes: [[Rule]], to module: Module, path: [String]) throws(InitError) {
        let isNested = passes.count > 1
        for (pass, rules) in passes.enumerated() {
            let paths = rules.indices.map { path + (isNested ? [String(pass), String($0)] : [String($0)]) }
            try check(rules, paths)
            var unmatched = Set(rules.indices)
            try module.walk { (module: Module, prefix: String) throws(InitError) in
                for slot in module.slots where slot.isParameter {
                    ruleMatches += rules.count
                    guard ruleMatches <= limits.maximumRuleMatches else {
                        throw InitError(
                            .tooLarge,
                            path,
                            "rules would be held against parameters more than \(limits.maximumRuleMatches) times "
                                + "(--max-rule-matches)"
                        )
                    }
                    let name = prefix + slot.name
                    let matching = rules.indices.filter { rules[$0].matches(slot.name, in: module, qualified: name) }
                    unmatched.subtract(matching)
                    if let first = matching.first {
                        try apply(rules[first], to: slot, named: name, path: paths[first])
                    }
                }
            }
            if let index = unmatched.min() {
                throw InitError(.invalid, paths[index], "matches no parameter")
            }
        }
    }

    private func check(_ rules: [Rule], _ paths: [[String]]) throws(InitError) {
        for (rule, path) in zip(rules, paths) {
            if let type = rule.type, !LayerType.classNames.contains(type) {
                throw .unknown("layer type", type, in: path + ["type"], known: LayerType.classNames)
            }
        }
    }

    private mutating func apply(
        _ rule: Rule,
        to slot: Module.Slot,
        named name: String,
        path: [String]
    ) throws(InitError) {
        guard case .initialize(let method, let arguments) = rule.action else { return }
        do {
            try builder.redraw(slot, method, arguments)
        } catch {
            // What a rule refuses depends on what it is applied to.
            throw InitError(
                error.kind,
                path + (error.path == ["shape"] || error.path == ["dtype"] ? [] : error.path),
                "\(error.detail) (for \(name.quotedForMessage))",
                allowed: error.allowed
            )
        }
        builder.setRule(RuleReference(path: path), of: slot)
    }
}

extension Rule {
    fileprivate func matches(_ parameter: String, in module: Module, qualified: String) -> Bool {
        if let type, type != "Module", !module.types.contains(type) { return false }
        if let glob = self.parameter, !glob.matches(parameter) { return false }
        if let name, !name.matches(qualified) { return false }
        return true
    }
}

// MARK: - Finishing

extension ModelPlanner {
    private mutating func finish(_ model: Module) throws(InitError) -> Plan {
        let tied = Set(request.ties.map(\.name))
        let seed = builder.plan.seed
        try model.walk { (module: Module, prefix: String) throws(InitError) in
            for slot in module.slots {
                let name = prefix + slot.name
                guard !tied.contains(name) else { continue }
                let cell = builder.cells[slot.cell]
                var initialization = cell.initialization
                if request.seeding == .perTensor {
                    initialization = try builder.plan.detach(initialization, seed: seed.derived(for: name))
                }
                do throws(InitError) {
                    try builder.plan.add(
                        name,
                        shape: cell.shape,
                        dtype: cell.dtype,
                        isParameter: slot.isParameter,
                        slice: request.slices[name],
                        initialization
                    )
                } catch {
                    throw error.path == ["slice"] ? InitError(error.kind, ["slices", name], error.detail) : error
                }
            }
        }
        return builder.plan.finish(ties: request.ties)
    }
}

extension Seed {
    /// The seed of a tensor's own generator: the first four bytes, little-endian, of the SHA-256 of the effective seed
    /// in decimal, a colon, and the tensor's name, as UTF-8.
    public func derived(for name: String) -> UInt32 {
        SHA256.hash(data: Array("\(effective):\(name)".utf8)).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
