internal import ByteText
import WeightInit

extension ModelMembers {
    /// The request written in the one way that all its spellings share.
    var canonical: JSONValue {
        var members = canonicalDraws
        let slices = request.slices.filter { !$0.value.isWhole }.sorted { $0.key < $1.key }
        members.append(
            "slices",
            slices.isEmpty
                ? nil
                : .object(slices.map { JSONValue.Member(name: $0.key, value: .string(Text($0.value.description))) })
        )
        return .object(members)
    }

    /// The members of the canonical request without `slices`, which only choose blocks of the drawn tensors.
    var canonicalDraws: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("seed", .number(Text(seed.description)))
        members.append("dtype", dtype == .float32 ? nil : .string(dtype.word))
        members.append("seeding", request.seeding == .stream ? nil : .string(request.seeding.word))
        members.append("defaults", request.usesDefaults ? nil : .boolean(false))
        members.append(request.form.word, entries)
        members.append("rules", rules(request.rules))
        members.append("tie", ties)
        members.append("steps", request.steps.isEmpty ? nil : .array(request.steps.map { .object(step($0)) }))
        members.append("cast", request.cast.map { .string($0.word) })
        members.append("include", request.include.isEmpty ? nil : .strings(request.include.map(\.pattern)))
        return members
    }

    /// The ties by their names; `nil` if there are none.
    var ties: JSONValue? {
        guard !request.ties.isEmpty else { return nil }
        return .object(request.ties.map { JSONValue.Member(name: $0.name, value: .string($0.target)) })
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
        members.append("name", entry.name == Text(index) ? nil : entry.name.map(JSONValue.string))
        members.append("repeat", entry.repetitions.map(JSONValue.integer))
        switch entry.content {
        case .layer(let layer):
            members += layer.json(within: dtype)
        case .block(let entries):
            members.append("layers", list(entries))
        case .parameter(let tensor):
            members.append("type", request.form == .tensors ? nil : "Parameter")
            members.append("shape", .integers(tensor.shape.dimensions))
            members.append("dtype", tensor.dtype == dtype ? nil : .string(tensor.dtype.word))
            if let method = tensor.method { members += call(method, tensor.arguments) }
            members.append("persistent", tensor.isPersistent ? nil : .boolean(false))
        }
        members.append("cast", entry.cast.map { .string($0.word) })
        members.append("rules", rules(entry.rules))
        return members
    }

    private func step(_ step: Step) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        switch step.target {
        case .tensors(let names, let slice):
            members.append("tensor", names.count == 1 ? .string(names[0]) : .strings(names))
            members.append("slice", slice.map { .string(Text($0.description)) })
        case .discarded(let shape, let dtype):
            members.append("shape", .integers(shape.dimensions))
            members.append("dtype", dtype == self.dtype ? nil : .string(dtype.word))
        }
        members.append("method", .string(step.method.name))
        return members + step.arguments.json(by: step.method.parameters, within: dtype)
    }

    /// A method and its arguments.
    private func call(_ method: InitMethod, _ arguments: Arguments) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("method", .string(method.name))
        return members + arguments.json(by: method.parameters, within: dtype)
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
