internal import ByteText
import WeightInit

/// A request to `/propagate`, decoded.
struct PropagateMembers: Sendable {
    /// Members of a request for the variances in a stack of layers, without the method's parameters.
    static let table = [
        Member("depth", .parameter(.integer), default: .integer(16), "layers"),
        Member("width_in", .parameter(.integer), default: .integer(512), "elements of the stack's input"),
        Member(
            "width_out",
            .parameter(.integer),
            default: .integer(128),
            "elements of its output; the widths between are a geometric sequence"
        ),
        Member("nonlinearity", .word, default: .text("relu"), "the activation after every layer"),
        MemberTable.activationParam,
        Member(
            "method",
            .word,
            default: .text("kaiming_normal"),
            "how the weights are initialised; kaiming takes the activation's gain unless it is given one"
        ),
        MemberTable.seed,
        Member(
            "runs",
            .parameter(.integer),
            default: .integer(8),
            "number of stacks to draw and measure; 0 gives the theory alone"
        ),
    ]

    var stack: LayerStack
    var seed: Seed
    /// 0 for the theory alone.
    var runs: Int
    var canonical: CanonicalRequest

    /// - Throws: `invalid` for members that cannot be decoded.
    init(_ members: RequestMembers) throws(InitError) {
        let method = try PropagateMembers.method(of: members)
        let parameters = PropagateMembers.parameters(of: method)
        let table = PropagateMembers.table + parameters
        let decoded = try members.decode(by: table) { name in
            TensorMembers.owners(of: name, besides: method)
        }
        let complete = decoded.completed(by: PropagateMembers.table)
        guard let depth = complete.integer("depth"), let inputWidth = complete.integer("width_in"),
            let outputWidth = complete.integer("width_out"), let activation = complete.text("nonlinearity"),
            let seed = complete.text("seed"), let runs = complete.integer("runs")
        else {
            throw InitError(.invalid, [], "is incomplete")
        }
        guard let nonlinearity = Nonlinearity.named(activation) else {
            throw .unknown("activation", activation, in: ["nonlinearity"], known: Nonlinearity.all.map(\.name))
        }
        var stack = LayerStack(
            depth: depth,
            inputWidth: inputWidth,
            outputWidth: outputWidth,
            nonlinearity: nonlinearity,
            method: method
        )
        stack.param = decoded.number("param")
        stack.arguments = decoded.arguments(of: parameters)
        self.stack = stack
        self.seed = try Seed(decimal: seed)
        self.runs = runs
        var named = decoded
        named.replace("method", by: .text(method.name))
        canonical = CanonicalRequest(named)
    }

    private static func method(of members: RequestMembers) throws(InitError) -> InitMethod {
        let byDefault = DecodedMembers().completed(by: PropagateMembers.table).text("method").flatMap(InitMethod.named)
        if members.value(of: "method") == nil, let byDefault { return byDefault }
        return try TensorMembers.method(of: members, besides: PropagateMembers.table)
    }

    /// A method's parameters, without those that follow from the stack's activation.
    static func parameters(of method: InitMethod) -> [Member] {
        MemberTable.parameters(of: method).filter { member in
            !method.takesNonlinearity || !["a", "nonlinearity"].contains(member.name)
        }
    }
}
