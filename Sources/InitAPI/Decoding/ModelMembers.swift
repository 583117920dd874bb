internal import ByteText
import TensorFormats
import WeightInit

/// A request for a layer, a model or a list of tensors, decoded.
struct ModelMembers: Sendable {
    var request: ModelRequest
    var seed: Seed
    /// Default for entries without their own.
    var dtype: DType
    /// Set if the request names a format.
    let format: TensorFormat?

    private static let words = ModelRequest.Form.allCases.map(\.word)

    /// `true` if a request is for a layer, a model or a list of tensors.
    static func describes(_ members: RequestMembers) -> Bool {
        words.contains(where: members.has)
    }

    /// - Throws: `invalid` for members that cannot be decoded, `tooLarge` for shapes whose elements cannot be counted.
    init(_ members: RequestMembers) throws(InitError) {
        let forms = ModelRequest.Form.allCases.filter { members.has($0.word) }
        guard let form = forms.first else { throw .invalid(ModelRequest.Form.layers.word, "is missing") }
        if let other = forms.dropFirst().first {
            throw .invalid(other.word, "cannot be combined with \(form.word); a request has one of them")
        }
        let decoded = try members.decode(by: MemberTable.model(form) + MemberTable.reply)
        seed = try Seed(decimal: decoded.text("seed") ?? "0")
        format = decoded.text("format").flatMap(TensorFormat.named)
        dtype = decoded.dtype("dtype") ?? .float32
        let decoder = ModelDecoder(dtype: dtype, hasSteps: members.has("steps"))
        request = ModelRequest(
            form: form,
            entries: try decoder.entries(members, form),
            rules: try decoder.rules(of: members)
        )
        request.ties = try decoder.ties(of: members)
        request.usesDefaults = decoded.boolean("defaults") ?? true
        request.seeding = decoded.text("seeding").flatMap { ModelRequest.Seeding($0) } ?? .stream
        request.slices = try decoder.slices(of: members)
        request.steps = try decoder.steps(of: members)
        request.cast = decoded.dtype("cast")
        request.include = try decoder.include(of: members)
    }
}

extension RequestMembers {
    /// The members that a table names, and the others.
    func split(by table: [Member]) -> (named: RequestMembers, others: RequestMembers) {
        var (named, others) = (self, self)
        let names = table.map(\.name)
        named.given.removeAll { !names.contains($0.name) }
        others.given.removeAll { names.contains($0.name) }
        return (named, others)
    }

    /// The JSON of a member; `nil` if the member is not given, or given as text.
    func json(_ name: Text) -> JSONValue? {
        if case .json(let value)? = value(of: name) { value } else { nil }
    }
}

extension JSONValue {
    /// The decoded value; errors get the member's name as their path.
    fileprivate func map<Result>(
        under name: Text,
        _ decode: (JSONValue) throws(InitError) -> Result
    ) throws(InitError) -> Result {
        do {
            return try decode(self)
        } catch {
            throw error.under(name)
        }
    }

    /// The decoded elements of an array. The path of an error begins with the element's index.
    fileprivate func elements<Element>(
        of what: String,
        _ decode: (JSONValue) throws(InitError) -> Element
    ) throws(InitError) -> [Element] {
        guard case .array(let values) = self else {
            throw InitError(.invalid, [], "must be an array of \(what), found \(RequestValue.json(self).description)")
        }
        var elements: [Element] = []
        for (index, value) in values.enumerated() {
            elements.append(try value.map(under: Text(index), decode))
        }
        return elements
    }

    fileprivate func members(of what: String) throws(InitError) -> RequestMembers {
        guard case .object(let members) = self else {
            throw InitError(.invalid, [], "must be \(what), found \(RequestValue.json(self).description)")
        }
        return RequestMembers(members)
    }
}

/// Reads the parts of a request for a model. The path of an error starts at the value that is read.
struct ModelDecoder {
    /// Default of an entry without its own.
    var dtype: DType
    /// `true` if steps can write a tensor that has no method.
    var hasSteps: Bool

    func entries(_ members: RequestMembers, _ form: ModelRequest.Form) throws(InitError) -> [ModelEntry] {
        guard let value = members.json(form.word) else {
            throw .invalid(form.word, "must be JSON")
        }
        return try value.map(under: form.word) { value throws(InitError) in
            switch form {
            case .layer:
                [ModelEntry(name: "", content: .layer(try value.members(of: "a layer").layer(dtype: dtype)))]
            case .layers: try value.elements(of: "layers", entry)
            case .tensors: try value.elements(of: "tensors", tensor)
            }
        }
    }

    // MARK: Entries

    private func entry(_ value: JSONValue) throws(InitError) -> ModelEntry {
        let members = try value.members(of: "a layer or a block of layers")
        if members.value(of: "layers") != nil { return try block(members) }
        guard try LayerType.withoutModule(members.layerTypeName()) != "Parameter" else { return try tensor(value) }
        // Members that every entry can have, and the layer's own members.
        let (own, rest) = members.split(by: MemberTable.entry)
        let decoded = try own.decode(by: MemberTable.entry)
        let entry = ModelEntry(name: try name(decoded), content: .layer(try rest.layer(dtype: dtype)))
        return try complete(entry, decoded, members)
    }

    private func block(_ members: RequestMembers) throws(InitError) -> ModelEntry {
        let decoded = try members.decode(by: MemberTable.block) { name in
            name == "type" ? "cannot be combined with layers: an entry is a layer or a block of layers" : nil
        }
        let inner = ModelDecoder(dtype: decoded.dtype("dtype") ?? dtype, hasSteps: hasSteps)
        var entries: [ModelEntry] = []
        if let json = members.json("layers") {
            entries = try json.map(under: "layers") { value throws(InitError) in
                try value.elements(of: "layers", inner.entry)
            }
        }
        return try complete(ModelEntry(name: try name(decoded), content: .block(entries)), decoded, members)
    }

    /// The entry with the members that layers and blocks have alike.
    private func complete(
        _ entry: ModelEntry,
        _ decoded: DecodedMembers,
        _ members: RequestMembers
    ) throws(InitError) -> ModelEntry {
        var entry = entry
        entry.repetitions = decoded.integer("repeat")
        entry.rules = try rules(of: members)
        entry.cast = decoded.dtype("cast")
        return entry
    }

    /// A tensor without a module: an element of `tensors`, or an entry of the type `Parameter`.
    private func tensor(_ value: JSONValue) throws(InitError) -> ModelEntry {
        let members = try value.members(of: "a tensor")
        let isEntry = members.value(of: "type") != nil
        let method = try method(of: members, isEntry: isEntry)
        let parameters = method.map(MemberTable.parameters) ?? []
        let decoded = try members.decode(
            by: MemberTable.bareTensor + (isEntry ? [MemberTable.layerType] : []) + parameters
        ) { name in method.flatMap { TensorMembers.owners(of: name, besides: $0) } }
        var entry = ModelEntry(
            name: try name(decoded),
            content: .parameter(
                TensorRequest(
                    method: method,
                    shape: try Shape(decoded.integers("shape") ?? []),
                    dtype: decoded.dtype("dtype") ?? dtype,
                    arguments: decoded.arguments(of: parameters),
                    isPersistent: decoded.boolean("persistent") ?? true
                )
            )
        )
        entry.cast = decoded.dtype("cast")
        return entry
    }

    /// The method of a tensor without a module; `nil` if only steps write it.
    private func method(of members: RequestMembers, isEntry: Bool) throws(InitError) -> InitMethod? {
        if members.value(of: "method") == nil {
            if isEntry { return InitMethod.named("zeros") }
            if hasSteps { return nil }
        }
        return try TensorMembers.method(of: members, besides: MemberTable.bareTensor, takesLiterals: true)
    }

    private func name(_ decoded: DecodedMembers) throws(InitError) -> Text? {
        guard let name = decoded.text("name") else { return nil }
        guard !name.isEmpty else { throw .invalid("name", "is empty") }
        return name
    }

    // MARK: Rules and ties

    func rules(of members: RequestMembers) throws(InitError) -> Rules {
        guard let json = members.json("rules") else { return Rules() }
        return try json.map(under: "rules", rules)
    }

    /// A list of rules is one pass; a list of lists of rules is several passes.
    private func rules(_ value: JSONValue) throws(InitError) -> Rules {
        guard case .array(let elements) = value, case .array? = elements.first else {
            return Rules(try value.elements(of: "rules", rule))
        }
        return Rules(
            passes: try value.elements(of: "lists of rules") { pass throws(InitError) in
                try pass.elements(of: "rules", rule)
            }
        )
    }

    private func rule(_ value: JSONValue) throws(InitError) -> Rule {
        let members = try value.members(of: "a rule")
        let isSkip = members.value(of: "method") == .json(.string("skip"))
        let method = isSkip ? nil : try TensorMembers.method(of: members, besides: MemberTable.rule)
        let parameters = method.map(MemberTable.parameters) ?? []
        let decoded = try members.decode(by: MemberTable.rule + parameters) { name in
            method.flatMap { TensorMembers.owners(of: name, besides: $0) }
        }
        return Rule(
            type: decoded.text("type").map(LayerType.withoutModule),
            parameter: decoded.text("parameter").map { Glob($0) },
            name: decoded.text("name").map { Glob($0) },
            action: method.map { .initialize(method: $0, arguments: decoded.arguments(of: parameters)) } ?? .skip
        )
    }

    // MARK: Steps

    func steps(of members: RequestMembers) throws(InitError) -> [Step] {
        guard let json = members.json("steps") else { return [] }
        return try json.map(under: "steps") { value throws(InitError) in try value.elements(of: "steps", step) }
    }

    private func step(_ value: JSONValue) throws(InitError) -> Step {
        let members = try value.members(of: "a step")
        guard let given = members.value(of: "method") else {
            throw InitError(.invalid, ["method"], "is missing", allowed: Step.Method.allNames)
        }
        let name: Text
        do {
            name = try given.word()
        } catch {
            throw error.under("method")
        }
        guard let method = Step.Method.named(name) else {
            throw .unknown("method", name, in: ["method"], known: Step.Method.allNames)
        }
        let parameters = MemberTable.parameters(of: method)
        let decoded = try members.decode(by: MemberTable.step + parameters)
        return Step(
            try target(of: decoded, tensors: members.json("tensor")),
            method: method,
            arguments: decoded.arguments(of: parameters)
        )
    }

    private func target(of step: DecodedMembers, tensors: JSONValue?) throws(InitError) -> Step.Target {
        guard let tensors else {
            if step.text("slice") != nil { throw .invalid("slice", "needs a tensor: it is a block of one") }
            guard let shape = step.integers("shape") else {
                throw .invalid("tensor", "is missing: a step has a tensor, or the shape of a draw that is discarded")
            }
            return .discarded(shape: try Shape(shape), dtype: step.dtype("dtype") ?? dtype)
        }
        for member in ["shape", "dtype"] as [Text] where step[member] != nil {
            throw .invalid(member, "follows from the tensor; give it for a discarded draw only")
        }
        let names = try tensors.map(under: "tensor", names)
        do throws(InitError) {
            let slice = try step.text("slice").map { text throws(InitError) in try Slice(text, allowsIndices: true) }
            return .tensors(names, slice: slice)
        } catch {
            throw error.under("slice")
        }
    }

    /// A name, or a list of names that is not empty.
    private func names(_ value: JSONValue) throws(InitError) -> [Text] {
        guard case .array(let elements) = value else {
            guard case .string(let name) = value else {
                throw InitError(
                    .invalid,
                    [],
                    "must be a name or an array of names, found \(RequestValue.json(value).description)"
                )
            }
            return [name]
        }
        guard !elements.isEmpty else { throw InitError(.invalid, [], "has no names") }
        return try value.elements(of: "names") { name throws(InitError) in try RequestValue.json(name).word() }
    }

    func include(of members: RequestMembers) throws(InitError) -> [Glob] {
        guard let json = members.json("include") else { return [] }
        return try json.map(under: "include") { value throws(InitError) in
            try value.elements(of: "patterns") { pattern throws(InitError) in
                Glob(try RequestValue.json(pattern).word())
            }
        }
    }

    func slices(of members: RequestMembers) throws(InitError) -> [Text: Slice] {
        guard let json = members.json("slices") else { return [:] }
        let given = try json.map(under: "slices") { value throws(InitError) in
            try value.members(of: "an object of slices")
        }
        var slices: [Text: Slice] = [:]
        for (name, value) in given.given {
            do throws(InitError) {
                slices[name] = try value.slice()
            } catch {
                throw error.under("slices", name)
            }
        }
        return slices
    }

    func ties(of members: RequestMembers) throws(InitError) -> [Tie] {
        guard let json = members.json("tie") else { return [] }
        let names = try json.map(under: "tie") { value throws(InitError) in
            try value.members(of: "an object of names")
        }
        var ties: [Tie] = []
        for (name, target) in names.given {
            do throws(InitError) {
                ties.append(Tie(name: name, target: try target.word()))
            } catch {
                throw error.under("tie", name)
            }
        }
        // Members of an object have no order.
        return ties.sorted { $0.name < $1.name }
    }
}
