internal import ByteText
import WeightInit

/// Fan-in and fan-out of a shape.
struct FanQuestion: Question {
    static let table = [
        MemberTable.shape,
        .choice("mode", Fan.Mode.words, "adds the fan of this mode"),
        Member(
            "groups",
            .parameter(.integer),
            default: .integer(1),
            "groups of the convolution; adds the effective fans"
        ),
        Member(
            "transposed",
            .parameter(.boolean),
            default: .boolean(false),
            "whether the convolution is transposed; adds the effective fans"
        ),
        .choice(
            "layout",
            Fan.Layout.words,
            default: Fan.Layout.torch.word,
            "where the channels are: torch [out, in, k…], keras [k…, in, out]"
        ),
    ]

    private let decoded: DecodedMembers

    init(_ members: RequestMembers) throws(InitError) {
        decoded = try members.decode(by: Self.table)
    }

    func answer(_ asking: Asking) throws(InitError) -> Answer? {
        try asking.preference.requireJSON()
        let shape = try Shape(decoded.integers("shape") ?? [])
        let layout = decoded.text("layout").flatMap { Fan.Layout($0) } ?? .torch
        let mode = decoded.text("mode").flatMap { Fan.Mode($0) }
        var reply: [JSONValue.Member] = []
        reply.append("shape", .integers(shape.dimensions))
        reply.append(try Fan(of: shape, layout: layout), mode)
        if decoded.has("groups") || decoded.has("transposed") {
            let effective = try Fan(
                effectiveOf: shape,
                layout: layout,
                groups: decoded.integer("groups") ?? 1,
                transposed: decoded.boolean("transposed") ?? false
            )
            var members: [JSONValue.Member] = []
            members.append(effective, mode)
            reply.append("effective", .object(members))
        }
        return Answer(reply, .forever) { [decoded] path in
            CanonicalRequest(decoded).url(path)
        }
    }
}

extension [JSONValue.Member] {
    fileprivate mutating func append(_ fan: Fan, _ mode: Fan.Mode?) {
        append("fan_in", .integer(fan.fanIn))
        append("fan_out", .integer(fan.fanOut))
        append("fan", mode.map { .integer(fan[$0]) })
    }
}
