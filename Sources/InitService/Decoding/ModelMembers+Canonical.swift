import WeightInit

extension ModelMembers {
    /// The request written in the one way that all its spellings share.
    var canonical: JSONValue {
        var members = canonicalDraws
        let slices = request.slices.filter { !$0.value.isWhole }.sorted { $0.key < $1.key }
        members.append(
            "slices",
            slices.isEmpty
                ? nil : .object(slices.map { JSONValue.Member(name: $0.key, value: .string($0.value.description)) })
        )
        return .object(members)
    }

    /// Its members without those that only choose from what is drawn.
    var canonicalDraws: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("seed", .number(seed.description))
        members.append("dtype", dtype == .float32 ? nil : .string(dtype.rawValue))
        members.append("seeding", request.seeding == .stream ? nil : .string(request.seeding.rawValue))
        members.append("defaults", request.usesDefaults ? nil : .boolean(false))
        members.append(request.form.rawValue, entries)
        members.append("rules", rules(request.rules))
        members.append(
            "tie",
            request.ties.isEmpty
                ? nil : .object(request.ties.map { JSONValue.Member(name: $0.name, value: .string($0.target)) })
        )
        return members
    }

    private var entries: JSONValue {
        if request.form == .layer, case .layer(let layer)? = request.entries.first?.content {
            return .object(layer.json(within: dtype))
        }
        return list(request.entries)
    }

    private func list(_ entries: [ModelEntry]) -> JSONValue {
        .array(entries.enumerated().map { index, entry in .object(members(of: entry, at: index)) })
    }

    private func members(of entry: ModelEntry, at index: Int) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("name", entry.name == String(index) ? nil : entry.name.map(JSONValue.string))
        members.append("repeat", entry.repetitions.map(JSONValue.integer))
        switch entry.content {
        case .layer(let layer):
            members += layer.json(within: dtype)
        case .block(let entries):
            members.append("layers", list(entries))
        case .parameter(let tensor):
            members.append("type", request.form == .tensors ? nil : "Parameter")
            members.append("shape", .integers(tensor.shape.dimensions))
            members.append("dtype", tensor.dtype == dtype ? nil : .string(tensor.dtype.rawValue))
            members += call(tensor.method, tensor.arguments)
        }
        members.append("rules", rules(entry.rules))
        return members
    }

    /// A method and its arguments.
    private func call(_ method: String, _ arguments: Arguments) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("method", .string(method))
        return members + arguments.json(by: InitMethod.named(method)?.parameters ?? [], within: dtype)
    }

    private func rules(_ rules: Rules) -> JSONValue? {
        let passes = rules.passes.map { JSONValue.array($0.map(rule)) }
        return rules.isNested ? .array(passes) : passes.first
    }

    private func rule(_ rule: Rule) -> JSONValue {
        var members: [JSONValue.Member] = []
        members.append("type", rule.type.map(JSONValue.string))
        members.append("parameter", rule.parameter.map { .string($0.pattern) })
        members.append("name", rule.name.map { .string($0.pattern) })
        switch rule.action {
        case .skip: members.append("method", "skip")
        case .initialize(let method, let arguments): members += call(method, arguments)
        }
        return .object(members)
    }
}
