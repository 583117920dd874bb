import TensorFormats
import WeightInit

/// A request for a layer, a model or a list of tensors, decoded.
struct ModelMembers: Sendable {
    var request: ModelRequest
    var seed: Seed
    /// What entries have that name none of their own.
    var dtype: DType
    /// Set where the request names one.
    var format: TensorFormat?

    /// Whether a request asks for more than one tensor.
    static func describes(_ members: RequestMembers) -> Bool {
        ModelRequest.Form.allCases.contains { members.value(of: $0.rawValue) != nil }
    }

    /// - Throws: `invalid` for what the decoder refuses, `tooLarge` for shapes past what can be counted.
    init(_ members: RequestMembers) throws(InitError) {
        let forms = ModelRequest.Form.allCases.filter { members.value(of: $0.rawValue) != nil }
        guard let form = forms.first else { throw .invalid(ModelRequest.Form.layers.rawValue, "is missing") }
        if let other = forms.dropFirst().first {
            throw .invalid(other.rawValue, "stands beside \(form.rawValue); a request has one of them")
        }
        let decoded = try members.decode(by: MemberTable.model(form) + [MemberTable.format])
        seed = try Seed(decimal: decoded.text("seed") ?? "0")
        format = decoded.text("format").flatMap(TensorFormat.init)
        dtype = decoded.text("dtype").flatMap(DType.init) ?? .float32
        let decoder = ModelDecoder(dtype: dtype)
        request = ModelRequest(
            form: form,
            entries: try decoder.entries(members, form),
            rules: try decoder.rules(of: members),
            ties: try decoder.ties(of: members),
            usesDefaults: decoded.boolean("defaults") ?? true,
            seeding: decoded.text("seeding").flatMap(ModelRequest.Seeding.init) ?? .stream,
            slices: try decoder.slices(of: members)
        )
    }
}

extension RequestMembers {
    /// The members that a table has, and the others.
    func split(by table: [Member]) -> (named: RequestMembers, others: RequestMembers) {
        var (named, others) = (self, self)
        let names = table.map(\.name)
        named.given.removeAll { !names.contains($0.name) }
        others.given.removeAll { names.contains($0.name) }
        return (named, others)
    }

    /// The JSON of a member; `nil` where it is not given.
    func json(_ name: String) -> JSONValue? {
        if case .json(let value)? = value(of: name) { value } else { nil }
    }
}

extension JSONValue {
    /// What a decoder makes of the value, its errors put under the member's name.
    fileprivate func map<Result>(
        under name: String,
        _ decode: (JSONValue) throws(InitError) -> Result
    ) throws(InitError) -> Result {
        do {
            return try decode(self)
        } catch {
            throw error.under(name)
        }
    }

    /// The elements of an array, each decoded, their errors under their indices.
    fileprivate func elements<Element>(
        of what: String,
        _ decode: (JSONValue) throws(InitError) -> Element
    ) throws(InitError) -> [Element] {
        guard case .array(let values) = self else {
            throw InitError(.invalid, [], "must be an array of \(what), found \(RequestValue.json(self).description)")
        }
        var elements: [Element] = []
        for (index, value) in values.enumerated() {
            elements.append(try value.map(under: String(index), decode))
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

/// Reads what a model is built of. Errors have their path from the value that is read.
private struct ModelDecoder {
    /// What an entry has that names none.
    var dtype: DType

    func entries(_ members: RequestMembers, _ form: ModelRequest.Form) throws(InitError) -> [ModelEntry] {
        guard let value = members.json(form.rawValue) else {
            throw .invalid(form.rawValue, "must be JSON")
        }
        return try value.map(under: form.rawValue) { value throws(InitError) in
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
        guard try members.layerTypeName() != "Parameter" else { return try tensor(value) }
        // What every entry has, then what is left for the layer.
        let (own, rest) = members.split(by: MemberTable.entry)
        let decoded = try own.decode(by: MemberTable.entry)
        return ModelEntry(
            name: try name(decoded),
            content: .layer(try rest.layer(dtype: dtype)),
            repetitions: decoded.integer("repeat"),
            rules: try rules(of: members)
        )
    }

    private func block(_ members: RequestMembers) throws(InitError) -> ModelEntry {
        let decoded = try members.decode(by: MemberTable.block) { name in
            name == "type" ? "stands beside layers: an entry is a layer or a block of layers" : nil
        }
        let inner = ModelDecoder(dtype: dtype(decoded))
        var entries: [ModelEntry] = []
        if let json = members.json("layers") {
            entries = try json.map(under: "layers") { value throws(InitError) in
                try value.elements(of: "layers", inner.entry)
            }
        }
        return ModelEntry(
            name: try name(decoded),
            content: .block(entries),
            repetitions: decoded.integer("repeat"),
            rules: try rules(of: members)
        )
    }

    /// A tensor without a module: an element of `tensors`, or an entry of the type `Parameter`.
    private func tensor(_ value: JSONValue) throws(InitError) -> ModelEntry {
        let members = try value.members(of: "a tensor")
        let isEntry = members.value(of: "type") != nil
        let method =
            members.value(of: "method") == nil && isEntry
            ? InitMethod.named("zeros") : try TensorMembers.method(of: members, besides: MemberTable.bareTensor)
        guard let method else { throw .invalid("method", "is missing") }
        let parameters = MemberTable.parameters(of: method)
        let decoded = try members.decode(
            by: MemberTable.bareTensor + (isEntry ? [MemberTable.layerType] : []) + parameters
        ) { name in TensorMembers.owners(of: name, besides: method) }
        return ModelEntry(
            name: try name(decoded),
            content: .parameter(
                TensorRequest(
                    method: method.name,
                    shape: try Shape(decoded.integers("shape") ?? []),
                    dtype: dtype(decoded),
                    arguments: decoded.arguments(of: parameters)
                )
            )
        )
    }

    private func name(_ decoded: DecodedMembers) throws(InitError) -> String? {
        guard let name = decoded.text("name") else { return nil }
        guard !name.isEmpty else { throw .invalid("name", "is empty") }
        return name
    }

    private func dtype(_ decoded: DecodedMembers) -> DType {
        decoded.text("dtype").flatMap(DType.init) ?? dtype
    }

    // MARK: Rules and ties

    func rules(of members: RequestMembers) throws(InitError) -> Rules {
        guard let json = members.json("rules") else { return Rules() }
        return try json.map(under: "rules", rules)
    }

    /// A list of rules is one pass; a list of such lists is several.
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
            type: decoded.text("type"),
            parameter: decoded.text("parameter").map { Glob($0) },
            name: decoded.text("name").map { Glob($0) },
            action: method.map { .initialize(method: $0.name, arguments: decoded.arguments(of: parameters)) } ?? .skip
        )
    }

    func slices(of members: RequestMembers) throws(InitError) -> [String: Slice] {
        guard let json = members.json("slices") else { return [:] }
        let given = try json.map(under: "slices") { value throws(InitError) in
            try value.members(of: "an object of slices")
        }
        var slices: [String: Slice] = [:]
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

extension DecodedMembers {
    /// Those of a table's members that were given.
    func arguments(of table: [Member]) -> Arguments {
        var arguments = Arguments()
        for member in table { arguments[member.name] = self[member.name] }
        return arguments
    }
}
