import HTTPExchange
import TensorFormats
import WeightInit

/// The catalogue: everything a request may name, from the tables that decode it.
enum MethodsRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        try exchange.requireJSONAcceptable()
        let catalogue: JSONValue = [
            "profile": .string(InitService.profile),
            "methods": .array(InitMethod.all.map(method)),
            "parameters": .array(MemberTable.formattedTensor.map(\.catalogueEntry)),
            "layers": .array(LayerType.all.map(layer)),
            "models": models,
            "propagate": propagate,
            "activations": .array(Nonlinearity.all.map(activation)),
            "dtypes": .array(DType.requestable.map(dtype)),
            "formats": .array(TensorFormat.offered.map(format)),
        ]
        return Representation(json: catalogue, caching: .hour)
    }

    private static func method(_ method: InitMethod) -> JSONValue {
        [
            "name": .string(method.name),
            "aliases": .strings([method.name + "_"] + method.aliases.flatMap { [$0, $0 + "_"] }),
            "formula": .string(method.formula),
            "parameters": .array(MemberTable.parameters(of: method).map(\.catalogueEntry)),
        ]
    }

    private static func layer(_ type: LayerType) -> JSONValue {
        [
            "name": .string(type.name),
            "bases": .strings(type.bases + ["Module"]),
            "tensors": .boolean(type.hasState),
            "any_arguments": .boolean(type.acceptsAnyArgument),
            "parameters": .array(MemberTable.parameters(of: type).map(\.catalogueEntry)),
        ]
    }

    /// What requests for several tensors are made of.
    private static var models: JSONValue {
        let forms = ModelRequest.Form.allCases.map { form in
            JSONValue.Member(name: form.rawValue, value: members(MemberTable.model(form) + [MemberTable.format]))
        }
        return [
            "requests": .object(forms),
            "layer": members([MemberTable.layerType, MemberTable.dtype] + MemberTable.entry),
            "block": members(MemberTable.block),
            "tensor": members(MemberTable.bareTensor),
            "rule": members(MemberTable.rule),
        ]
    }

    /// What requests to `/propagate` are made of.
    private static var propagate: JSONValue {
        [
            "parameters": members(MemberTable.propagate),
            "methods": .array(
                InitMethod.all.filter(\.isRandom).map { method in
                    ["name": .string(method.name), "parameters": members(PropagateMembers.parameters(of: method))]
                }
            ),
        ]
    }

    private static func members(_ table: [Member]) -> JSONValue {
        .array(table.map(\.catalogueEntry))
    }

    private static func activation(_ activation: Nonlinearity) -> JSONValue {
        let parameter: JSONValue? = activation.parameter.map {
            ["name": .string($0.name), "default": .double($0.defaultValue)]
        }
        var members: [JSONValue.Member] = []
        members.append("name", .string(activation.name))
        members.append("convention", .string(activation.convention.rawValue))
        members.append("param", parameter ?? .null)
        return .object(members)
    }

    private static func dtype(_ dtype: DType) -> JSONValue {
        ["name": .string(dtype.rawValue), "item_bytes": .integer(dtype.itemSize)]
    }

    private static func format(_ format: TensorFormat) -> JSONValue {
        [
            "name": .string(format.rawValue),
            "media_type": .string(format.mediaType),
            "models": .boolean(!format.holdsOneTensorOnly),
            "dtypes": .strings(DType.requestable.filter { format.objection(to: $0) == nil }.map(\.rawValue)),
        ]
    }
}

extension Member {
    var catalogueEntry: JSONValue {
        var members: [JSONValue.Member] = []
        members.append("name", .string(name))
        members.append("aliases", aliases.isEmpty ? nil : .strings(aliases))
        members.append("type", .string(typeName))
        members.append("values", choices.map(JSONValue.strings))
        members.append("required", .boolean(isRequired))
        members.append("default", defaultValue?.json(of: kind))
        members.append("summary", summary.isEmpty ? nil : .string(summary))
        return .object(members)
    }

    private var typeName: String {
        switch kind {
        case .shape: "integers"
        case .parameter(.integers(let count)): "integer or \(count.map { "\($0) " } ?? "")integers"
        case .seed, .parameter(.integer): "integer"
        case .word, .slice, .parameter(.choice): "string"
        case .parameter(.boolean): "boolean"
        case .parameter(.number): "number"
        case .parameter(.gain): "number or activation"
        case .parameter(.layer): "layer"
        case .parameter(.any): "any"
        case .structure: "JSON"
        }
    }

    private var choices: [String]? {
        if case .parameter(.choice(let words, _)) = kind { words } else { nil }
    }
}
