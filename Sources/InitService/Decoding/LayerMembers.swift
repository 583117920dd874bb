import WeightInit

extension MemberTable {
    static let layerType = Member(
        name: "type",
        kind: .word,
        isRequired: true,
        summary: "the class of torch.nn"
    )
}

extension RequestMembers {
    /// A layer: the `type`, perhaps a `dtype`, and the arguments of the type's constructor.
    ///
    /// - Parameter dtype: What it has where it names none.
    func layer(dtype: DType) throws(InitError) -> LayerRequest {
        guard let given = value(of: MemberTable.layerType.name) else {
            throw InitError(.invalid, ["type"], "is missing", allowed: LayerType.all.map(\.name))
        }
        let name: String
        do {
            name = try given.word()
        } catch {
            throw error.under("type")
        }
        guard let type = LayerType.named(name) else {
            throw .unknown("layer type", name, in: ["type"], known: LayerType.all.map(\.name))
        }
        let parameters = type.parameters.map(Member.init)
        let table = [MemberTable.layerType, MemberTable.dtype] + parameters
        var members = self
        if type.acceptsAnyArgument {
            members.given.removeAll { member in !table.contains { $0.name == member.name } }
        }
        let decoded = try members.decode(by: table, dtype: dtype)
        var arguments = Arguments()
        for parameter in parameters {
            arguments[parameter.name] = decoded[parameter.name]
        }
        return LayerRequest(
            type: type.name,
            dtype: decoded.text("dtype").flatMap(DType.init) ?? dtype,
            arguments: arguments
        )
    }
}

extension LayerRequest {
    /// The layer in its canonical form: the arguments in the table's order, without what equals its default.
    var json: JSONValue {
        var members: [JSONValue.Member] = []
        members.append("type", .string(type))
        members.append("dtype", .string(dtype.rawValue))
        for parameter in LayerType.named(type)?.parameters ?? [] where parameter.kind != .any {
            guard let value = arguments[parameter.name], value.queryText != parameter.defaultValue?.queryText else {
                continue
            }
            members.append(parameter.name, value.json(of: .parameter(parameter.kind)))
        }
        return .object(members)
    }
}
