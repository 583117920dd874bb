import HTTPExchange
import TensorFormats
import WeightInit

/// The plan of a request to `/init`; nothing is generated.
enum ExplainRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        let members = try InitMembers(exchange.members)
        let plan = try members.plan(service.limits.tensors)
        if members.format != nil, try InitRoute.negotiate(members, exchange) == .safetensors {
            try plan.checkSafetensorsNames()
        }
        try exchange.requireJSONAcceptable()
        var reply: [JSONValue.Member] = []
        reply.append("url", .string(members.url("/init", members.format)))
        switch members {
        case .tensor(let members):
            reply += members.identity(plan.tensors.first)
            reply.append("parameters", .object(members.argumentsInForce))
            for tensor in plan.tensors {
                reply.append("bytes", .integer(tensor.byteCount))
                reply += tensor.initialization.explanation
            }
        case .model(let members):
            reply += members.identity
            reply += plan.totals
            reply.append("tensors", .array(plan.tensors.map { .object($0.explanation) }))
        }
        return Representation(
            json: .object(reply),
            caching: .hour,
            location: exchange.location { members.url($0, members.format) }
        )
    }
}

extension Plan {
    /// The one thing in a plan that only the file's layout would refuse.
    fileprivate func checkSafetensorsNames() throws(InitError) {
        do throws(FormatError) {
            for tensor in tensors { try SafetensorsLayout.check(name: tensor.name) }
        } catch {
            throw InitError(error)
        }
    }

    fileprivate var totals: [JSONValue.Member] {
        let parameters = tensors.filter(\.isParameter)
        var members: [JSONValue.Member] = []
        members.append("parameters", .integer(parameters.reduce(0) { $0 + $1.fullShape.elementCount }))
        members.append("bytes", .integer(byteCount))
        members.append("words", words.map { .integer($0) } ?? .null)
        return members
    }
}

extension PlannedTensor {
    fileprivate var explanation: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("name", .string(name))
        members += geometry
        members.append("buffer", isParameter ? nil : .boolean(true))
        members.append("rule", initialization.rule.map { .string(Problem.Fault.Place.pointer(to: $0.path)) } ?? .null)
        members.append("method", .string(initialization.method))
        members.append("bytes", .integer(byteCount))
        members.append("effective_seed", .integer(initialization.seed))
        return members + initialization.explanation
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
