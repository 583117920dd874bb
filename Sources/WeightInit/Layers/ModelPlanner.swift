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
    private var nameBytes = 0

    init(_ request: ModelRequest, seed: Seed, limits: Limits) {
        self.request = request
        self.limits = limits
        builder = LayerBuilder(plan: PlanBuilder(seed: seed, limits: limits), usesDefaults: request.usesDefaults)
    }

    mutating func plan() throws(InitError) -> Plan {
        var model = try block(request.entries, path: [], prefix: 0, depth: 0)
        let slots = try index(model)
        try checkSlices(slots)
        try tie(&model, slots)
        try apply(request.rules, to: model, path: ["rules"])
        return try finish(model)
    }
}

// MARK: - Building

/// Paths are those from the model's request.
extension ModelPlanner {
    /// - Parameters:
    ///   - path: To the object that holds the list.
    ///   - prefix: Bytes that its parameters' names begin with.
    private mutating func block(
        _ entries: [ModelEntry],
        path: [String],
        prefix: Int,
        depth: Int
    ) throws(InitError) -> Module {
        guard depth < limits.maximumNesting else {
            throw InitError(
                .tooLarge,
                path,
                "blocks are nested more than \(limits.maximumNesting) deep (--max-nesting)"
            )
        }
        do {
            try builder.reserve(modules: 1)
        } catch {
            throw error.under(path)
        }
        var module = Module(types: ["Module"])
        var names: Set<String> = []
        for (index, entry) in entries.enumerated() {
            let path = path + (depth == 0 ? request.form.path(index) : ["layers", String(index)])
            let name = entry.name ?? String(index)
            guard names.insert(name).inserted else {
                throw InitError(.invalid, path + ["name"], "\(name.quotedForMessage) is the name of an entry before it")
            }
            try add(entry, name: name, to: &module, path: path, prefix: prefix, depth: depth)
        }
        return module
    }

    private mutating func add(
        _ entry: ModelEntry,
        name: String,
        to parent: inout Module,
        path: [String],
        prefix: Int,
        depth: Int
    ) throws(InitError) {
        let prefix = prefix + name.utf8.count + 1
        if case .parameter(let request) = entry.content {
            try count(names: 1, of: prefix, path)
            do throws(InitError) {
                parent.slots.append(
                    try builder.parameter(name, request.shape, request.method, request.arguments, dtype: request.dtype)
                )
            } catch {
                throw error.under(path)
            }
            return
        }
        guard let repetitions = entry.repetitions else {
            parent.children.append((name, try module(entry, path: path, prefix: prefix, depth: depth)))
            return
        }
        guard repetitions >= 0 else { throw InitError(.invalid, path + ["repeat"], "\(repetitions) is negative") }
        var copies: [Module] = []
        for index in 0..<repetitions {
            let prefix = prefix + String(index).utf8.count + 1
            copies.append(try module(entry, path: path, prefix: prefix, depth: depth))
            guard copies.count == 1 else { continue }
            // Refused at once, and not after as many modules as are allowed have been built.
            let (modules, overflow) = copies[0].count.multipliedReportingOverflow(by: repetitions - 1)
            do {
                try builder.checkRoom(modules: overflow ? .max : modules)
            } catch {
                throw error.under(path + ["repeat"])
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

    private mutating func module(
        _ entry: ModelEntry,
        path: [String],
        prefix: Int,
        depth: Int
    ) throws(InitError) -> Module {
        let module: Module
        switch entry.content {
        case .block(let entries):
            try count(names: 1, of: prefix, path)
            module = try block(entries, path: path, prefix: prefix, depth: depth + 1)
        case .layer(let request):
            do {
                module = try builder.build(request)
            } catch {
                throw error.under(path)
            }
            var names = 0
            module.walk { module, _ in names += 1 + module.slots.count }
            try count(names: names, of: prefix, path)
        case .parameter:
            return Module(types: [])
        }
        try apply(entry.rules, to: module, path: path + ["rules"])
        return module
    }

    /// Counts names that begin with as many bytes.
    private mutating func count(names: Int, of bytes: Int, _ path: [String]) throws(InitError) {
        let (product, overflow) = names.multipliedReportingOverflow(by: bytes)
        guard !overflow, product <= limits.maximumNameBytes - nameBytes else {
            throw InitError(
                .tooLarge,
                path,
                "the names in the model are longer than \(limits.maximumNameBytes) bytes together (--max-name-bytes)"
            )
        }
        nameBytes += product
    }

    /// All slots by their names in the model.
    private func index(_ model: Module) throws(InitError) -> [String: Module.Slot] {
        var slots: [String: Module.Slot] = [:]
        try model.walk { (module: Module, prefix: String) throws(InitError) in
            for slot in module.slots {
                let name = prefix + slot.name
                guard slots.updateValue(slot, forKey: name) == nil else {
                    throw InitError(
                        .invalid,
                        [request.form.rawValue],
                        "two tensors have the name \(name.quotedForMessage)"
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
    private mutating func apply(_ rules: Rules, to module: Module, path: [String]) throws(InitError) {
        for (index, pass) in rules.passes.enumerated() {
            let paths = pass.indices.map { path + rules.path(pass: index, rule: $0) }
            try check(pass, paths)
            var unmatched = Set(pass.indices)
            try module.walk { (module: Module, prefix: String) throws(InitError) in
                try count(matches: 1, path)
                for slot in module.slots where slot.isParameter {
                    try count(matches: pass.count, path)
                    let name = prefix + slot.name
                    // A step more than are left, so that using them up is noticed.
                    let left = (limits.maximumRuleMatches - ruleMatches).multipliedReportingOverflow(by: 64)
                    let allowed = left.overflow ? .max : left.partialValue + 64
                    var steps = allowed
                    let matching = pass.indices.filter {
                        pass[$0].matches(Array(slot.name.utf8), in: module, qualified: Array(name.utf8), &steps)
                    }
                    try count(matches: (allowed - steps) / 64, path)
                    unmatched.subtract(matching)
                    if let first = matching.first {
                        try apply(pass[first], to: slot, named: name, path: paths[first])
                    }
                }
            }
            if let rule = unmatched.min() {
                throw InitError(.invalid, paths[rule], "matches no parameter")
            }
        }
    }

    private mutating func count(matches count: Int, _ path: [String]) throws(InitError) {
        guard count <= limits.maximumRuleMatches - ruleMatches else {
            throw InitError(
                .tooLarge,
                path,
                "rules would be held against parameters more than \(limits.maximumRuleMatches) times (--max-rule-matches)"
            )
        }
        ruleMatches += count
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
        try count(matches: 16, path)
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
    /// - Parameter steps: How many bytes the patterns may still go through.
    fileprivate func matches(
        _ parameter: [UInt8],
        in module: Module,
        qualified: [UInt8],
        _ steps: inout Int
    ) -> Bool {
        if let type, type != "Module", !module.types.contains(type) { return false }
        if let glob = self.parameter, !glob.matches(parameter, steps: &steps) { return false }
        if let name, !name.matches(qualified, steps: &steps) { return false }
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
                    throw error.path == ["slice"]
                        ? InitError(error.kind, ["slices", name], error.detail)
                        : InitError(
                            error.kind,
                            [request.form.rawValue],
                            "\(error.detail) (at \(name.quotedForMessage))"
                        )
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
