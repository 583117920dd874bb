internal import ByteText
import TensorFormats
import WeightInit

/// A request for one tensor, decoded.
///
/// A class, because the members never change, and every stage from the request to the body holds them.
final class TensorMembers: Sendable {
    let request: TensorRequest
    let seed: Seed
    /// Set if the request names a format.
    let format: TensorFormat?
    let canonical: CanonicalRequest
    private let parameters: [Member]

    /// - Throws: `invalid` for members that cannot be decoded, `tooLarge` for shapes whose elements cannot be counted.
    init(_ members: RequestMembers) throws(InitError) {
        let method = try TensorMembers.method(of: members, besides: MemberTable.askedTensor)
        let table = MemberTable.members(with: method)
        parameters = table.parameters
        var decoded = try members.decode(by: table.asked) { name in
            TensorMembers.owners(of: name, besides: method)
        }
        request = TensorRequest(
            method: method,
            shape: try Shape(decoded.integers("shape") ?? []),
            dtype: decoded.dtype("dtype") ?? .float32,
            arguments: decoded.arguments(of: parameters),
            slice: try decoded.text("slice").map { text throws(InitError) in try Slice(text) },
            cast: decoded.dtype("cast")
        )
        seed = try Seed(decimal: decoded.text("seed") ?? "0")
        format = decoded.text("format").flatMap(TensorFormat.named)
        decoded.replace("method", by: .text(method.name))
        if request.cast == request.dtype { decoded.replace("cast", by: nil) }
        canonical = CanonicalRequest(decoded, without: MemberTable.reply)
    }

    /// The method that members are for.
    ///
    /// - Parameters:
    ///   - table: Members accepted beside the method's parameters.
    ///   - takesLiterals: `true` for a model's tensors, whose elements can also be spelled out.
    static func method(
        of members: RequestMembers,
        besides table: [Member],
        takesLiterals: Bool = false
    ) throws(InitError) -> InitMethod {
        let offered = takesLiterals ? InitMethod.all + InitMethod.literals : InitMethod.all
        guard let value = members.value(of: "method") else {
            try refuseStrangers(in: members, table)
            throw InitError(.invalid, ["method"], "is missing", allowed: offered.map(\.name))
        }
        let name: Text
        do {
            name = try value.word()
        } catch {
            throw error.under("method")
        }
        guard let method = takesLiterals ? InitMethod.namedForSteps(name) : InitMethod.named(name) else {
            throw .unknown(
                "method",
                name,
                in: ["method"],
                known: offered.map(\.name),
                aliases: offered.flatMap(\.aliases)
            )
        }
        return method
    }

    /// Without a method, reports names that no method has.
    private static func refuseStrangers(in members: RequestMembers, _ table: [Member]) throws(InitError) {
        let known = table.map(\.name) + InitMethod.all.flatMap(\.parameters).flatMap { [$0.name] + $0.aliases }
        guard let stranger = members.given.first(where: { !known.contains($0.name) }) else { return }
        throw .unknown("member", stranger.name, in: [stranger.name], known: table.map(\.name))
    }

    /// The message for a name that is a parameter of other methods but not of this one; `nil` if no method has it.
    static func owners(of name: Text, besides method: InitMethod) -> String? {
        let owners = InitMethod.all.filter { candidate in
            candidate.parameters.contains { $0.name == name || $0.aliases.contains(name) }
        }
        guard !owners.isEmpty else { return nil }
        return "is not a parameter of \(method.name), but of \(owners.map(\.name).joined(separator: ", "))"
    }

    /// The parameters in force, defaults included.
    var argumentsInForce: [JSONValue.Member] {
        parameters.compactMap { parameter in
            let given = request.arguments[parameter.name]
            if given == nil, isReplaced(parameter.name) { return nil }
            guard let value = given ?? parameter.defaultValue, value != .null else { return nil }
            return JSONValue.Member(name: parameter.name, value: value.json(of: parameter.kind))
        }
    }

    /// `true` for the parameters of `kaiming_*` that a given gain replaces.
    private func isReplaced(_ name: Text) -> Bool {
        request.arguments["gain"] != nil && (name == "a" || name == "nonlinearity")
    }
}
