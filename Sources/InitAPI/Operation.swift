package import ByteText
package import WeightInit

/// An operation of the API: one row for the routes, the command line and the catalogue.
package struct Operation: Sendable {
    package let name: Text
    /// Members of a request for one tensor, or of a request without structure, as the command line offers them.
    package let members: [OfferedMember]
    /// Gives the members of a request their types.
    ///
    /// Takes time in proportion to the length of the request, whatever the size of the requested tensors.
    package let decode: @Sendable (RequestMembers) throws(InitError) -> any Question

    /// `true` if the operation takes a JSON body as well as a query.
    package let takesBody: Bool

    private init<Asked: Question>(
        _ name: Text,
        _ question: Asked.Type,
        members: [OfferedMember] = [],
        takesBody: Bool = true
    ) {
        self.name = name
        self.members = members
        self.takesBody = takesBody
        decode = { members throws(InitError) in try question.init(members) }
    }

    package static let all = [gain, fan, initialize, explain, propagate, methods, models]

    package static let gain = Operation("gain", GainQuestion.self, members: GainQuestion.table.map(OfferedMember.init))
    package static let fan = Operation("fan", FanQuestion.self, members: FanQuestion.table.map(OfferedMember.init))
    package static let initialize = Operation("init", InitQuestion.self, members: OfferedMember.ofTensor)
    package static let explain = Operation("explain", ExplainQuestion.self, members: OfferedMember.ofTensor)
    package static let propagate = Operation("propagate", PropagateQuestion.self)
    package static let methods = Operation("methods", MethodsQuestion.self, takesBody: false)
    package static let models = Operation("models", ModelsQuestion.self, takesBody: false)
}

/// A request whose members have their types.
package protocol Question: Sendable {
    /// - Throws: `invalid` for members that cannot be decoded.
    init(_ members: RequestMembers) throws(InitError)

    /// Checks and plans; the answer's bytes are made when they are asked for.
    ///
    /// - Returns: `nil` if the allowance is too small for planning.
    /// - Throws: `InitError`; its path starts at a member.
    func answer(_ asking: Asking) throws(InitError) -> Answer?
}

/// The context of a question: limits and caches, the client's preferences, and the allowance.
package struct Asking: Sendable {
    package let context: OperationContext
    /// Chooses among the media types that the answer can have.
    package let preference: any MediaPreference
    package let allowance: Allowance

    package init(_ context: OperationContext, _ preference: any MediaPreference, within allowance: Allowance) {
        self.context = context
        self.preference = preference
        self.allowance = allowance
    }
}

/// Limits, caches and counters shared by all operations of a service or command.
package final class OperationContext: Sendable {
    package let limits: ServiceLimits
    package let models: ModelCatalogue
    package let preparations: PreparationCache
    package let modelCache: ModelCache
    package let production = Production()

    package init(limits: ServiceLimits = ServiceLimits(), models: ModelCatalogue = ModelCatalogue()) {
        self.limits = limits
        self.models = models
        modelCache = ModelCache(limit: limits.modelCacheBytes)
        preparations = PreparationCache(limit: limits.cacheBytes)
        models.observe { [weak modelCache] in modelCache?.removeAll() }
    }

    /// Answers without HTTP.
    ///
    /// - Parameters:
    ///   - members: Names and values as a query holds them, decoded.
    ///   - document: A request in JSON. Members that `members` also name are ignored.
    /// - Throws: `InitError`; its path starts at a member.
    package func answer(
        _ operation: Operation,
        _ members: [(name: Text, text: Text)],
        document: [UInt8]? = nil
    ) throws(InitError) -> Answer {
        var given = try RequestMembers(texts: members).withJSON(of: [MemberTable.include, MemberTable.slices])
        if let document {
            // The caller has the document in memory already, so the number of its values is not limited.
            var request = try RequestMembers(
                parsing: document,
                JSONLimits(depth: limits.maximumJSONDepth, values: .max)
            )
            request.given.removeAll { member in given.value(of: member.name) != nil }
            given.given += request.given
        }
        guard let answer = try operation.decode(given).answer(Asking(self, AnyMediaType(), within: .unbounded)) else {
            throw InitError(.failed, [], "planning stopped although it has no limit")
        }
        return answer
    }
}
