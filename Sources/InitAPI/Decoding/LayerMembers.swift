internal import ByteText
import WeightInit

extension MemberTable {
    static let layerType = Member("type", .word, isRequired: true, "the class of torch.nn")
}

extension RequestMembers {
    /// A layer: the `type`, perhaps a `dtype`, and the arguments of the type's constructor.
    ///
    /// - Parameter dtype: The layer's dtype if it names none.
    func layer(dtype: DType) throws(InitError) -> LayerRequest {
        let name = try layerTypeName()
        guard let type = LayerType.named(name) else {
            throw .unknown("layer type", name, in: ["type"], known: LayerType.all.map(\.name))
        }
        let parameters = MemberTable.parameters(of: type)
        let table = [MemberTable.layerType, MemberTable.layerDtype] + parameters
        var members = self
        if type.acceptsAnyArgument {
            members.given.removeAll { member in !table.contains { $0.name == member.name } }
        }
        // The layer's own dtype first: it is the default for layers inside it.
        let dtype =
            try members.split(by: [MemberTable.layerDtype]).named.decode(by: [MemberTable.layerDtype])
            .dtype("dtype") ?? dtype
        let decoded = try members.decode(by: table, dtype: dtype)
        return LayerRequest(type: type.name, dtype: dtype, arguments: decoded.arguments(of: parameters))
    }

    func layerTypeName() throws(InitError) -> Text {
        guard let given = value(of: MemberTable.layerType.name) else {
            throw InitError(.invalid, ["type"], "is missing", allowed: LayerType.all.map(\.name))
        }
        do {
            return try given.word()
        } catch {
            throw error.under("type")
        }
    }
}

extension LayerRequest {
    /// The layer in its canonical form: the arguments in the table's order, without those that equal their defaults.
    ///
    /// - Parameter outer: The dtype that the layer has if it names none.
    func json(within outer: DType) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("type", .string(type))
        members.append("dtype", dtype == outer ? nil : .string(dtype.word))
        return members + arguments.json(by: LayerType.named(type)?.parameters ?? [], within: dtype)
    }
}

extension Arguments {
    /// The arguments that differ from their defaults, in the table's order.
    func json(by table: [Parameter], within dtype: DType) -> [JSONValue.Member] {
        table.compactMap { parameter in
            guard let value = self[parameter.name]?.shortened(for: parameter.kind) else { return nil }
            if case .layer(let layer) = value {
                return JSONValue.Member(name: parameter.name, value: .object(layer.json(within: dtype)))
            }
            // As text, because that tells −0 from 0.
            guard parameter.defaultValue?.queryText != value.queryText else { return nil }
            return JSONValue.Member(name: parameter.name, value: value.json(of: .parameter(parameter.kind)))
        }
    }
}

extension ParameterValue {
    /// One integer instead of a list of equal integers.
    fileprivate func shortened(for kind: Parameter.Kind) -> ParameterValue {
        guard case .integers(let count) = kind, case .integers(let integers) = self, integers.count == count ?? 1,
            let first = integers.first, integers.allSatisfy({ $0 == first })
        else { return self }
        return .integer(first)
    }
}
