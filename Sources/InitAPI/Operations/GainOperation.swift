internal import ByteText
import WeightInit

/// The gain of an activation, or of all of them.
struct GainQuestion: Question {
    static let table = [
        Member("nonlinearity", .word, "the activation; without it, the whole table"),
        MemberTable.activationParam,
    ]

    private let decoded: DecodedMembers

    init(_ members: RequestMembers) throws(InitError) {
        decoded = try members.decode(by: Self.table)
    }

    func answer(_ asking: Asking) throws(InitError) -> Answer? {
        try asking.preference.requireJSON()
        let url = { @Sendable [decoded] path in CanonicalRequest(decoded).url(path) }
        guard let name = decoded.text("nonlinearity") else {
            guard !decoded.has("param") else {
                throw .invalid("param", "has no effect without a nonlinearity")
            }
            let gains = try Nonlinearity.all.map { nonlinearity throws(InitError) in
                JSONValue.object(try gain(of: nonlinearity, nil))
            }
            return Answer([JSONValue.Member(name: "gains", value: .array(gains))], .release, url: url)
        }
        guard let nonlinearity = Nonlinearity.named(name) else {
            throw .unknown("activation", name, in: ["nonlinearity"], known: Nonlinearity.all.map(\.name))
        }
        return Answer(try gain(of: nonlinearity, decoded.number("param")), .forever, url: url)
    }

    private func gain(of nonlinearity: Nonlinearity, _ param: Double?) throws(InitError) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("nonlinearity", .string(nonlinearity.name))
        members.append("param", nonlinearity.parameter.map { .double(param ?? $0.defaultValue) })
        members.append("gain", .double(try nonlinearity.gain(param: param)))
        members.append("convention", .string(nonlinearity.convention.word))
        return members
    }
}
