public import ByteText
internal import SHA2

extension Plan {
    /// Plans a model's state dict: builds the modules in order, applies the rules, then performs the steps. All tensors
    /// draw from one generator, or each from its own.
    ///
    /// - Parameter isCancelled: Turns true once nobody waits for the plan any more; checked at each tensor.
    /// - Throws: `InitError`, whose path begins at the model's request; `cancelled` once `isCancelled` has turned true.
    public convenience init(
        _ request: ModelRequest,
        seed: Seed,
        limits: Limits = Limits(),
        isCancelled: @escaping () -> Bool = { false }
    ) throws(InitError) {
        var planner = ModelPlanner(request, seed: seed, limits: limits, isCancelled)
        try planner.plan()
        self.init(planner.builder.plan, ties: planner.sentTies, firstDraw: planner.draftCount)
    }
}

/// Builds a model as a PyTorch program would, without making an element.
private struct ModelPlanner {
    private let request: ModelRequest
    private let limits: Limits
    private(set) var builder: LayerBuilder
    /// Ties to tensors that are sent.
    private(set) var sentTies: [Tie] = []
    private var ruleMatches = 0
    private var nameBytes = 0
    /// Number of draws that are superseded: with a generator for each tensor, all draws on the request's generator.
    private(set) var draftCount = 0

    init(_ request: ModelRequest, seed: Seed, limits: Limits, _ isCancelled: @escaping () -> Bool) {
        self.request = request
        self.limits = limits
        builder = LayerBuilder(
            plan: PlanBuilder(seed: seed, limits: limits, slices: !request.slices.isEmpty),
            usesDefaults: request.usesDefaults,
            isCancelled: isCancelled
        )
        builder.cast = request.cast
    }

    /// Makes the plan of ``builder``, with its ties.
    mutating func plan() throws(InitError) {
        try countSteps()
        var model = try block(request.entries, path: [], prefix: 0, depth: 0)
        let slots = try SlotIndex(model, limits: limits, form: request.form)
        try checkSlices(slots)
        try tie(&model, slots)
        try apply(request.rules, to: model, path: ["rules"])
        if request.seeding == .perTensor { try detach(model) }
        try perform(request.steps, slots)
        try finish(model)
    }
}

// MARK: - Building

/// Paths begin at the model's request.
extension ModelPlanner {
    /// - Parameters:
    ///   - path: Path of the object that holds the list.
    ///   - prefix: Length in bytes of the prefix of its parameters' names.
    private mutating func block(
        _ entries: [ModelEntry],
        path: [Text],
        prefix: Int,
        depth: Int
    ) throws(InitError) -> Module {
        guard depth < limits.maximumNesting else {
            throw InitError(
                over: \Limits.maximumNesting,
                path,
                "blocks are nested more than \(limits.maximumNesting) deep"
            )
        }
        do {
            try builder.reserve(modules: 1)
        } catch {
            throw error.under(path)
        }
        var module = Module(types: ["Module"])
        var names: Set<Text> = []
        for (index, entry) in entries.enumerated() {
            let path = path + (depth == 0 ? request.form.path(index) : ["layers", Text(index)])
            let name = entry.name ?? Text(index)
            guard names.insert(name).inserted else {
                throw InitError(
                    .invalid,
                    path + ["name"],
                    "an earlier entry has the name \(name.quotedForMessage) already"
                )
            }
            try add(entry, name: name, to: &module, path: path, prefix: prefix, depth: depth)
        }
        return module
    }

    /// - Throws: `tooLarge` for a name that makes the parameters' names too long.
    private mutating func add(
        _ entry: ModelEntry,
        name: Text,
        to parent: inout Module,
        path: [Text],
        prefix: Int,
        depth: Int
    ) throws(InitError) {
        let outer = builder.cast
        builder.cast = entry.cast ?? outer
        defer { builder.cast = outer }
        let prefix = prefix + name.byteCount + 1
        guard prefix - 1 <= limits.maximumNameLength else {
            throw InitError(
                over: \Limits.maximumNameLength,
                path + ["name"],
                "names that begin with this one are longer than \(limits.maximumNameLength) bytes"
            )
        }
        if case .parameter(let request) = entry.content {
            try count(names: 1, of: prefix, path)
            do throws(InitError) {
                parent.slots.append(try builder.tensor(name, request))
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
            let prefix = prefix + Text(index).byteCount + 1
            copies.append(try module(entry, path: path, prefix: prefix, depth: depth))
            guard copies.count == 1 else { continue }
            // Too many copies are refused after the first, and not after the limit's number of modules has been built.
            let (modules, overflow) = copies[0].count.multipliedReportingOverflow(by: repetitions - 1)
            do {
                try builder.checkRoom(modules: overflow ? .max : modules)
            } catch {
                throw error.under(path + ["repeat"])
            }
        }
        if name.contains("{}" as Text) {
            for (index, module) in copies.enumerated() {
                parent.children.append((name.replacingFirst("{}", with: Text(index)), module))
            }
        } else {
            let list = copies.enumerated().map { (name: Text($0.offset), module: $0.element) }
            parent.children.append((name, Module(types: ["ModuleList"], children: list)))
        }
    }

    private mutating func module(
        _ entry: ModelEntry,
        path: [Text],
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

    /// Counts the bytes of names with a prefix of `bytes` bytes.
    private mutating func count(names: Int, of bytes: Int, _ path: [Text]) throws(InitError) {
        let (product, overflow) = names.multipliedReportingOverflow(by: bytes)
        guard !overflow, product <= limits.maximumNameBytes - nameBytes else {
            throw InitError(
                over: \Limits.maximumNameBytes,
                path,
                "the names in the model are longer than \(limits.maximumNameBytes) bytes together"
            )
        }
        nameBytes += product
    }

    /// Lets two slots share a cell, as the assignment of a parameter to a second attribute does.
    private mutating func tie(_ model: inout Module, _ slots: SlotIndex) throws(InitError) {
        var replaced: [Text: Int] = [:]
        for tie in request.ties {
            let path = ["tie", tie.name]
            // A list of tensors need not contain the replaced tensor, and does not tell parameters from buffers.
            let isList = request.form == .tensors
            let slot = slots[tie.name]
            guard slot.map({ isList || $0.isParameter }) ?? isList else {
                throw .unknown("parameter", tie.name, in: path, known: slots.parameters(near: tie.name))
            }
            guard let target = slots[tie.target], isList || target.isParameter else {
                throw .unknown("parameter", tie.target, in: path, known: slots.parameters(near: tie.target))
            }
            guard tie.name != tie.target, replaced[tie.target] == nil else {
                throw InitError(.invalid, path, "\(tie.target.quotedForMessage) is itself a tied name")
            }
            let targetCell = builder.cells[target.cell]
            if let cell = slot.map({ builder.cells[$0.cell] }),
                cell.shape != targetCell.shape || cell.dtype != targetCell.dtype
            {
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
        let targets = Set(request.ties.map(\.target))
        for tie in request.ties where targets.contains(tie.name) {
            throw InitError(.invalid, ["tie", tie.name], "\(tie.name.quotedForMessage) is also a target")
        }
        model.mapSlots { slot, name in
            var slot = slot
            slot.cell = replaced[name] ?? slot.cell
            return slot
        }
    }

    private func checkSlices(_ slots: SlotIndex) throws(InitError) {
        let targets = Dictionary(request.ties.map { ($0.name, $0.target) }) { first, _ in first }
        // Sorted, so that the same request gets the same error.
        for name in request.slices.keys.sorted() {
            if let target = targets[name] {
                throw InitError(
                    .invalid,
                    ["slices", name],
                    "is another name of \(target.quotedForMessage), which can be sliced"
                )
            }
            guard slots[name] != nil else {
                throw .unknown("tensor", name, in: ["slices", name], known: slots.parameters(near: name))
            }
        }
    }
}

/// All slots of a model by their names in it.
private struct SlotIndex {
    private var slots: [Text: Module.Slot] = [:]
    /// The slots' names, in the order of the state dict.
    private var names: [Text] = []

    /// - Throws: `invalid` if two slots have one name, `tooLarge` if a name is too long.
    init(_ model: Module, limits: Limits, form: ModelRequest.Form) throws(InitError) {
        try model.walk { (module: Module, prefix: Text) throws(InitError) in
            for slot in module.slots {
                let name = prefix + slot.name
                try limits.check(name: name, at: [form.word])
                guard slots.updateValue(slot, forKey: name) == nil else {
                    throw InitError(.invalid, [form.word], "two tensors have the name \(name.quotedForMessage)")
                }
                names.append(name)
            }
        }
    }

    subscript(name: Text) -> Module.Slot? { slots[name] }

    /// A few parameters' names that are close to an unknown name.
    func parameters(near name: Text) -> [Text] {
        names.lazy.filter { slots[$0]?.isParameter == true }.nearest(to: name)
    }
}

// MARK: - Rules

extension ModelPlanner {
    /// Applies passes of rules to a module and all modules in it, in `modules()` order; names are relative to that
    /// module.
    private mutating func apply(_ rules: Rules, to module: Module, path: [Text]) throws(InitError) {
        for (index, pass) in rules.passes.enumerated() {
            let paths = pass.indices.map { path + rules.path(pass: index, rule: $0) }
            try check(pass, paths)
            var unmatched = Set(pass.indices)
            try module.walk { (module: Module, prefix: Text) throws(InitError) in
                try builder.checkIsWanted()
                try count(matches: 1, path)
                for slot in module.slots where slot.isParameter {
                    try count(matches: pass.count, path)
                    let name = prefix + slot.name
                    let (ownBytes, nameBytes) = (slot.name.bytes, name.bytes)
                    // One comparison (64 bytes) more than is left, so that `count` notices if the limit is exceeded.
                    let left = (limits.maximumRuleMatches - ruleMatches).multipliedReportingOverflow(by: 64)
                    let allowed = left.overflow ? .max : left.partialValue + 64
                    var steps = allowed
                    let matching = pass.indices.filter {
                        pass[$0].matches(ownBytes, in: module, qualified: nameBytes, &steps)
                    }
                    try count(matches: (allowed - steps) / 64, path)
                    unmatched.subtract(matching)
                    if let first = matching.first {
                        try apply(pass[first], to: slot, named: name, path: paths[first])
                    }
                }
            }
            if let rule = unmatched.min() {
                throw noMatch(of: pass[rule], in: module, paths[rule])
            }
        }
    }

    private func noMatch(of rule: Rule, in module: Module, _ path: [Text]) -> InitError {
        let names = module.names { $0.isParameter }
        var patterns: [(pattern: Glob, names: [Text])] = []
        if let name = rule.name { patterns.append((name, names.whole)) }
        if let parameter = rule.parameter { patterns.append((parameter, Set(names.own).sorted())) }
        return .unmatched("parameter", in: path, patterns)
    }

    private mutating func count(matches count: Int, _ path: [Text]) throws(InitError) {
        guard count <= limits.maximumRuleMatches - ruleMatches else {
            throw InitError(
                over: \Limits.maximumRuleMatches,
                path,
                "the rules need more than \(limits.maximumRuleMatches) comparisons with parameters"
            )
        }
        ruleMatches += count
    }

    private func check(_ rules: [Rule], _ paths: [[Text]]) throws(InitError) {
        for (rule, path) in zip(rules, paths) {
            if let type = rule.type, !LayerType.classNames.contains(type) {
                throw .unknown("layer type", type, in: path + ["type"], known: LayerType.classNames)
            }
        }
    }

    private mutating func apply(
        _ rule: Rule,
        to slot: Module.Slot,
        named name: Text,
        path: [Text]
    ) throws(InitError) {
        guard case .initialize(let method, let arguments) = rule.action else { return }
        try count(matches: 16, path)
        do {
            try builder.redraw(slot, method, arguments)
        } catch {
            // A rule has no shape and no dtype: these errors come from the parameter, so the message names it.
            throw error.moved(
                to: path + (error.path == ["shape"] || error.path == ["dtype"] ? [] : error.path),
                " (for \(name.quotedForMessage))"
            )
        }
        builder.setRule(RuleReference(path: path), of: slot)
    }
}

extension Rule {
    /// - Parameter steps: Number of bytes that the patterns may still compare.
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

// MARK: - Steps

extension ModelPlanner {
    /// Gives each tensor its own generator.
    private mutating func detach(_ model: Module) throws(InitError) {
        let tied = Set(request.ties.map(\.name))
        let seed = builder.plan.seed
        draftCount = builder.plan.draws.count
        try model.walk { (module: Module, prefix: Text) throws(InitError) in
            for slot in module.slots where !tied.contains(prefix + slot.name) {
                try builder.detach(slot.cell, seed: seed.derived(for: prefix + slot.name))
            }
        }
    }

    private func countSteps() throws(InitError) {
        var count = 0
        for step in request.steps {
            count += step.count
            guard count <= limits.maximumSteps else {
                throw InitError(
                    over: \Limits.maximumSteps,
                    ["steps"],
                    "the model has more than \(limits.maximumSteps) steps"
                )
            }
        }
    }

    private mutating func perform(_ steps: [Step], _ slots: SlotIndex) throws(InitError) {
        let targets = Dictionary(request.ties.map { ($0.name, $0.target) }) { first, _ in first }
        func cell(_ name: Text, _ path: [Text]) throws(InitError) -> Int {
            guard let slot = slots[targets[name] ?? name] else {
                throw .unknown("tensor", name, in: path, known: slots.parameters(near: name))
            }
            return slot.cell
        }
        for (index, step) in steps.enumerated() {
            do throws(InitError) {
                switch step.target {
                case .tensors(let names, let slice):
                    for (place, name) in names.enumerated() {
                        try builder.checkIsWanted()
                        let path: [Text] = names.count == 1 ? ["tensor"] : ["tensor", Text(place)]
                        let target = try cell(name, path)
                        do throws(InitError) {
                            try builder.perform(step, on: target, slice: slice, index: index) {
                                name throws(InitError) in try cell(name, ["from"])
                            }
                        } catch {
                            throw error.ofStep(on: name)
                        }
                    }
                case .discarded where request.seeding == .perTensor:
                    throw .refused("method", "a draw without a tensor is not possible with per_tensor seeding")
                case .discarded(let shape, let dtype):
                    try builder.discard(step, shape, dtype, index: index)
                }
            } catch {
                throw error.under("steps", Text(index))
            }
        }
    }
}

extension InitError {
    /// The error of a step on a tensor: a step has no shape and no dtype, so the path names the method, and the message
    /// the tensor.
    fileprivate func ofStep(on name: Text) -> InitError {
        moved(
            to: path.isEmpty || path == ["shape"] || path == ["dtype"] ? ["method"] : path,
            " (for \(name.quotedForMessage))"
        )
    }
}

// MARK: - Finishing

extension ModelPlanner {
    private mutating func finish(_ model: Module) throws(InitError) {
        var included = Inclusion(request)
        try model.walk { (module: Module, prefix: Text) throws(InitError) in
            for slot in module.slots {
                try builder.checkIsWanted()
                let name = prefix + slot.name
                guard !included.aliases.contains(name) else { continue }
                let cell = builder.cells[slot.cell]
                guard cell.content.unwritten.isEmpty else { throw unwritten(name) }
                let isSent = try included.isSent(name, isPersistent: cell.isPersistent) { count throws(InitError) in
                    try self.count(matches: count, ["include"])
                }
                do throws(InitError) {
                    try builder.plan.add(
                        PlannedTensor(
                            name: name,
                            content: cell.content,
                            slice: isSent ? request.slices[name] : nil,
                            cast: cell.cast,
                            isParameter: slot.isParameter,
                            draw: cell.draw,
                            rule: cell.rule,
                            steps: cell.steps
                        ),
                        isSent: isSent
                    )
                } catch {
                    throw error.path == ["slice"]
                        ? error.moved(to: ["slices", name])
                        : error.moved(to: [request.form.word], " (at \(name.quotedForMessage))")
                }
            }
        }
        try included.checkAllMatched(in: model)
        sentTies = request.ties.filter { included.sent.contains($0.target) }
    }

    private func unwritten(_ name: Text) -> InitError {
        let index = request.entries.firstIndex { $0.name == name }
        return InitError(
            .refused,
            [request.form.word] + (index.map { [Text($0)] } ?? []),
            "\(name.quotedForMessage) has no method, and the steps do not write all of its elements"
        )
    }
}

/// The tensors of a model that are sent.
private struct Inclusion {
    private let patterns: [Glob]
    /// Each tensor's other names, by its own name.
    private let otherNames: [Text: [Text]]
    let aliases: Set<Text>
    private var matched: Set<Int> = []
    private(set) var sent: Set<Text> = []

    init(_ request: ModelRequest) {
        patterns = request.include
        otherNames = Dictionary(grouping: request.ties, by: \.target).mapValues { $0.map(\.name) }
        aliases = Set(request.ties.map(\.name))
    }

    /// Returns `true` if a tensor is sent. Without patterns, the state dict is sent. With patterns, a tensor is sent if
    /// one of them matches one of its names; a tensor outside of the state dict only if the pattern is its full name.
    ///
    /// - Parameter count: Counts comparisons of a pattern with a name.
    mutating func isSent(
        _ name: Text,
        isPersistent: Bool,
        count: (Int) throws(InitError) -> Void
    ) throws(InitError) -> Bool {
        var isSent = patterns.isEmpty && isPersistent
        for name in patterns.isEmpty ? [] : [name] + (otherNames[name] ?? []) {
            let bytes = Array(name.utf8)
            for (index, pattern) in patterns.enumerated() {
                var steps = Int.max
                let isMatch = pattern.matches(bytes, steps: &steps)
                try count(1 + (.max - steps) / 64)
                guard isMatch else { continue }
                matched.insert(index)
                if isPersistent || pattern.isLiteral { isSent = true }
            }
        }
        if isSent { sent.insert(name) }
        return isSent
    }

    func checkAllMatched(in model: Module) throws(InitError) {
        guard let index = patterns.indices.first(where: { !matched.contains($0) }) else { return }
        throw .unmatched("tensor", in: ["include", Text(index)], [(patterns[index], model.names { _ in true }.whole)])
    }
}

extension Seed {
    /// The seed of a tensor's own generator: the first four bytes, little-endian, of the SHA-256 of the effective seed
    /// in decimal, a colon, and the tensor's name, as UTF-8.
    public func derived(for name: Text) -> UInt32 {
        SHA256.hash(data: Array("\(effective):\(name)".utf8)).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
