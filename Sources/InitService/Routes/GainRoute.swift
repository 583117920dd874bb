import HTTPExchange
import WeightInit

/// The gain of an activation, or of all of them.
enum GainRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        try exchange.requireJSONAcceptable()
        let decoded = try exchange.members.decode(by: MemberTable.gain)
        let location = exchange.location { CanonicalRequest(decoded, by: MemberTable.gain).url($0) }
        guard let name = decoded.text("nonlinearity") else {
            guard decoded["param"] == nil else {
                throw InitError.invalid("param", "means nothing without a nonlinearity")
            }
            let gains = try Nonlinearity.all.map { try gain(of: $0, param: nil) }
            return Representation(json: ["gains": .array(gains)], caching: .hour, location: location)
        }
        guard let nonlinearity = Nonlinearity.named(name) else {
            throw InitError.unknown(
                "activation",
                name,
                in: ["nonlinearity"],
                known: Nonlinearity.all.map(\.name)
            )
        }
        return Representation(
            json: try gain(of: nonlinearity, param: decoded.number("param")),
            caching: .forever,
            location: location
        )
    }

    private static func gain(of nonlinearity: Nonlinearity, param: Double?) throws(InitError) -> JSONValue {
        var members: [JSONValue.Member] = []
        members.append("nonlinearity", .string(nonlinearity.name))
        members.append("param", nonlinearity.parameter.map { .double(param ?? $0.defaultValue) })
        members.append("gain", .double(try nonlinearity.gain(param: param)))
        members.append("convention", .string(nonlinearity.convention.rawValue))
        return .object(members)
    }
}
