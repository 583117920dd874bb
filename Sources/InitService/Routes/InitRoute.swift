import ByteSource
import HTTPExchange
import HTTPTypes
import TensorFormats
import WeightInit

/// A tensor in one of the formats.
enum InitRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        // Requests for layers and models are told apart here, by their members.
        let members = try TensorMembers(exchange.members)
        let plan = try Plan(members.request, seed: members.seed, limits: service.limits.tensors)
        let tensor = try PlannedReply(members, plan, service.limits)
        let format = try negotiate(members.format, for: members.request.dtype, exchange)
        var reply = try tensor.representation(in: format)
        let named = members.canonical.appending(MemberTable.format, .text(format.rawValue))
        reply.location = named.url(exchange.path)
        reply.entityTag = EntityTag(
            of: members.canonical.json.encodedText,
            InitService.profile,
            format.rawValue,
            PlannedReply.encoderRevision
        )
        return reply
    }

    /// The format asked for, or the one the client likes best.
    ///
    /// - Throws: 406 where there is none that it takes and that has a type for the elements.
    static func negotiate(
        _ named: TensorFormat?,
        for dtype: DType,
        _ exchange: Exchange
    ) throws(Problem) -> TensorFormat {
        if let named {
            guard let objection = named.objection(to: dtype) else { return named }
            let able = TensorFormat.offered.filter { $0.objection(to: dtype) == nil }
            throw Problem(
                .notAcceptable,
                objection.description,
                faults: [
                    Problem.Fault(
                        place: Problem.Fault.Place(["format"], form: exchange.form),
                        detail: objection.description,
                        allowed: able.map(\.rawValue)
                    )
                ]
            )
        }
        let accept = exchange.accept
        // A summary can only be asked for by name: its media type is that of the numbers.
        let offers = TensorFormat.offered.filter { $0 != .summary }
        let able = offers.filter { $0.objection(to: dtype) == nil }
        if let best = accept.preferred(among: able, mediaType: \.mediaType) { return best }
        let objection = accept.preferred(among: offers, mediaType: \.mediaType)?.objection(to: dtype)
        throw .notAcceptable(
            objection?.description ?? "none of the media types offered is acceptable",
            offered: able.map(\.mediaType)
        )
    }
}
