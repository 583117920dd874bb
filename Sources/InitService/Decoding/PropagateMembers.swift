import WeightInit

/// A request to `/propagate`, decoded.
struct PropagateMembers: Sendable {
    var stack: LayerStack
    var seed: Seed
    /// 0 for the theory alone.
    var runs: Int
    var canonical: CanonicalRequest

    /// - Throws: `invalid` for what the decoder refuses.
    init(_ members: RequestMembers) throws(InitError) {
        let kaiming = InitMethod.all.first { $0.name == "kaiming_normal" }
        let method: InitMethod
        if members.value(of: "method") == nil, let kaiming {
            method = kaiming
        } else {
            method = try TensorMembers.method(of: members, besides: MemberTable.propagate)
        }
        let parameters = PropagateMembers.parameters(of: method)
        let table = MemberTable.propagate + parameters
        let decoded = try members.decode(by: table) { name in
            TensorMembers.owners(of: name, besides: method)
        }
        let name = decoded.text("nonlinearity") ?? "relu"
        guard let nonlinearity = Nonlinearity.named(name) else {
            throw .unknown("activation", name, in: ["nonlinearity"], known: Nonlinearity.all.map(\.name))
        }
        var arguments = Arguments()
        for parameter in parameters { arguments[parameter.name] = decoded[parameter.name] }
        stack = LayerStack(
            depth: decoded.integer("depth") ?? 16,
            inputWidth: decoded.integer("width_in") ?? 512,
            outputWidth: decoded.integer("width_out") ?? 128,
            nonlinearity: nonlinearity,
            param: decoded.number("param"),
            method: method,
            arguments: arguments
        )
        seed = try Seed(decimal: decoded.text("seed") ?? "0")
        runs = decoded.integer("runs") ?? 8
        var named = decoded
        if named["method"] != nil { named.values["method"] = .text(method.name) }
        canonical = CanonicalRequest(named, by: table)
    }

    /// A method's parameters, without those that the stack's own activation stands for.
    static func parameters(of method: InitMethod) -> [Member] {
        method.parameters.map(Member.init).filter { member in
            !method.takesNonlinearity || !["a", "nonlinearity"].contains(member.name)
        }
    }
}
