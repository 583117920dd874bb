internal import ByteText
import TensorFormats
package import WeightInit

/// The catalogue: everything that a request may name, from the tables that decode requests.
package struct MethodsQuestion: Question {
    package init(_ members: RequestMembers) throws(InitError) {
        try members.requireNone()
    }

    package func answer(_ asking: Asking) throws(InitError) -> Answer? {
        try asking.preference.requireJSON()
        var answer = Answer(.bytes(Self.text), mediaType: Answer.json, lifetime: .release)
        answer.identity = Self.identity
        return answer
    }

    /// Encoded once, for all requests.
    private static let text = catalogue.encoded
    private static let identity = Identity(of: text)

    /// The answer as a value, for commands that print it in another form.
    package static var catalogue: JSONValue {
        [
            "profile": .string(Release.profile),
            "methods": .array(InitMethod.all.map(method)),
            "parameters": .array(MemberTable.askedTensor.map(\.catalogueEntry)),
            "layers": .array(LayerType.all.map(layer)),
            "models": models,
            "propagate": propagate,
            "activations": .array(Nonlinearity.all.map(activation)),
            "dtypes": .array(DType.requestable.map(dtype)),
            "formats": .array(TensorFormat.all.map(format)),
        ]
    }

    private static func method(_ method: InitMethod) -> JSONValue {
        [
            "name": .string(method.name),
            "aliases": .strings([method.name + "_"] + method.aliases.flatMap { [$0, $0 + "_"] }),
            "formula": .string(Text(method.formula)),
            "parameters": .array(MemberTable.parameters(of: method).map(\.catalogueEntry)),
        ]
    }

    private static func change(_ method: ChangeMethod) -> JSONValue {
        [
            "name": .string(method.name),
            "formula": .string(Text(method.formula)),
            "parameters": .array(MemberTable.parameters(of: .change(method)).map(\.catalogueEntry)),
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

    /// Members of requests for several tensors.
    private static var models: JSONValue {
        let forms = ModelRequest.Form.allCases.map { form in
            JSONValue.Member(name: form.word, value: members(MemberTable.model(form) + MemberTable.reply))
        }
        return [
            "requests": .object(forms),
            "layer": members([MemberTable.layerType, MemberTable.layerDtype] + MemberTable.entry),
            "block": members(MemberTable.block),
            "tensor": members(MemberTable.bareTensor),
            "rule": members(MemberTable.rule),
            "step": members(MemberTable.step),
            "literals": .array(InitMethod.literals.map(method)),
            "changes": .array(ChangeMethod.all.map(change)),
        ]
    }

    /// Members of requests to `/propagate`.
    private static var propagate: JSONValue {
        [
            "parameters": members(PropagateMembers.table),
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
        members.append("convention", .string(activation.convention.word))
        members.append("param", parameter ?? .null)
        return .object(members)
    }

    private static func dtype(_ dtype: DType) -> JSONValue {
        [
            "name": .string(dtype.word), "aliases": .strings(["torch." + dtype.word] + dtype.aliases),
            "item_bytes": .integer(dtype.itemSize),
        ]
    }

    private static func format(_ format: TensorFormat) -> JSONValue {
        [
            "name": .string(format.name),
            "media_type": .string(Text(format.mediaType)),
            "models": .boolean(!format.holdsOneTensorOnly),
            "dtypes": .strings(DType.requestable.filter { format.objection(to: $0) == nil }.map(\.word)),
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
        members.append("summary", summary.isEmpty ? nil : .string(Text(summary)))
        return .object(members)
    }

    private var typeName: Text {
        switch kind {
        case .shape: "integers"
        case .parameter(.integers(let count)): "integer or \(count.map { "\($0) " } ?? "")integers"
        case .seed, .parameter(.integer): "integer"
        case .word, .slice, .parameter(.choice), .parameter(.text): "string"
        case .parameter(.boolean): "boolean"
        case .parameter(.number), .parameter(.scalar): "number"
        case .parameter(.gain): "number or activation"
        case .parameter(.layer): "layer"
        case .parameter(.numbers): "number or numbers"
        case .parameter(.onlyDefault): "default"
        case .parameter(.any): "any"
        case .structure: "JSON"
        }
    }

    private var choices: [Text]? {
        if case .parameter(.choice(let words, _)) = kind { words } else { nil }
    }
}
