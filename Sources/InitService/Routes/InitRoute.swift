import HTTPExchange
import TensorFormats
import WeightInit

/// A tensor, a layer's parameters or a model's in one of the formats.
enum InitRoute {
    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        let members = try InitMembers(exchange.members)
        let plan = try members.plan(service.limits.tensors)
        let format = try negotiate(members, exchange)
        var reply = try PlannedReply(members, plan, service).representation(in: format)
        reply.location = exchange.location { members.url($0, format) }
        reply.entityTag = EntityTag(
            of: members.canonical.encodedText,
            InitService.profile,
            format.rawValue,
            PlannedReply.encoderRevision,
            // The only bits that depend on the host.
            try plan.linearAlgebraCore
        )
        return reply
    }

    /// The format asked for, or the one the client likes best.
    ///
    /// - Throws: 406 where there is none that it takes and that can hold what is asked for.
    static func negotiate(_ members: InitMembers, _ exchange: Exchange) throws(Problem) -> TensorFormat {
        lazy var able = TensorFormat.offered.filter { members.objection(to: $0) == nil }
        if let named = members.format {
            guard let objection = members.objection(to: named) else { return named }
            throw Problem(
                .notAcceptable,
                objection,
                faults: [
                    Problem.Fault(
                        place: Problem.Fault.Place(["format"], form: exchange.form),
                        detail: objection,
                        allowed: able.map(\.rawValue)
                    )
                ]
            )
        }
        let accept = exchange.accept
        // A summary can only be asked for by name: its media type is that of the numbers.
        let offers = able.filter { $0 != .summary }
        if let best = accept.preferred(among: offers, mediaType: \.mediaType) { return best }
        let wanted = accept.preferred(among: TensorFormat.offered, mediaType: \.mediaType)
        throw .notAcceptable(
            wanted.flatMap(members.objection) ?? "none of the media types offered is acceptable",
            offered: offers.map(\.mediaType)
        )
    }
}
