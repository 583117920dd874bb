import HTTPExchange
import WeightInit

/// Fan-in and fan-out of a shape.
enum FanRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        try exchange.requireJSONAcceptable()
        let decoded = try exchange.members.decode(by: MemberTable.fan)
        let shape = try Shape(decoded.integers("shape") ?? [])
        let layout = decoded.text("layout").flatMap(Fan.Layout.init) ?? .torch
        let mode = decoded.text("mode").flatMap(Fan.Mode.init)
        var reply: [JSONValue.Member] = []
        reply.append("shape", .integers(shape.dimensions))
        reply.append(try Fan(of: shape, layout: layout), mode)
        if decoded["groups"] != nil || decoded["transposed"] != nil {
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
        return Representation(
            json: .object(reply),
            caching: .forever,
            location: exchange.location { CanonicalRequest(decoded, by: MemberTable.fan).url($0) }
        )
    }
}

extension [JSONValue.Member] {
    fileprivate mutating func append(_ fan: Fan, _ mode: Fan.Mode?) {
        append("fan_in", .integer(fan.fanIn))
        append("fan_out", .integer(fan.fanOut))
        append("fan", mode.map { .integer(fan[$0]) })
    }
}
