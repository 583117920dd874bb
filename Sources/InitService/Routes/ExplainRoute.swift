import HTTPExchange
import TensorFormats
import WeightInit

/// The plan of a request for a tensor; nothing is generated.
enum ExplainRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        let members = try TensorMembers(exchange.members)
        let plan = try Plan(members.request, seed: members.seed, limits: service.limits.tensors)
        var canonical = members.canonical
        if let format = members.format {
            _ = try InitRoute.negotiate(format, for: members.request.dtype, exchange)
            canonical = canonical.appending(MemberTable.format, .text(format.rawValue))
        }
        try exchange.requireJSONAcceptable()
        var reply: [JSONValue.Member] = []
        reply.append("url", .string(canonical.url("/init")))
        reply += members.identity
        reply.append("parameters", .object(members.argumentsInForce))
        for tensor in plan.tensors {
            reply.append("bytes", .integer(tensor.byteCount))
            reply += tensor.initialization.explanation
        }
        return Representation(json: .object(reply), caching: .hour, location: canonical.url(exchange.path))
    }
}

extension Initialization {
    /// What is known before an element is made.
    fileprivate var explanation: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("formula", .string(formula))
        members.append("fan_in", fan.map { .integer($0.fanIn) })
        members.append("fan_out", fan.map { .integer($0.fanOut) })
        members.append("gain", gain.map(JSONValue.double))
        members.append("mean", mean.map(JSONValue.double))
        members.append("std", std.map(JSONValue.double))
        members.append("bound", bound.map(JSONValue.double))
        members.append("words", words.map { .integer($0) } ?? .null)
        members.append("start", start?.document ?? .null)
        members.append("warnings", .strings(warnings))
        return members
    }

}

extension StreamPosition {
    fileprivate var document: JSONValue {
        ["word": .integer(word), "cached_sample": cachedSample.map { .integer($0) } ?? .null]
    }
}
