internal import ByteText
package import WeightInit

/// The catalogue of models.
struct ModelsQuestion: Question {
    init(_ members: RequestMembers) throws(InitError) {
        try members.requireNone()
    }

    func answer(_ asking: Asking) throws(InitError) -> Answer? {
        try asking.preference.requireJSON()
        let models = asking.context.models.all
        var document = JSONDocument([JSONValue.Member(name: "profile", value: .string(Release.profile))])
        document.append("models", count: models.count) { index in
            let model = models[index]
            return [
                "name": .string(model.name),
                "description": .string(model.description),
                "tensors": .integer(model.tensorCount),
                "parameters": .integer(model.parameterCount),
                "bytes": .integer(model.byteCount),
                "files": .strings(model.files.map(\.name)),
            ]
        }
        var answer = Answer(.document(document), mediaType: Answer.json, lifetime: .catalogue)
        answer.identity = Identity(of: Array(models.map { "\($0.name) \($0.digest)" }.joined(separator: ",").utf8))
        return answer
    }
}

/// A model of the catalogue in one of the formats: `/init` with the model's request, in which some members can be
/// overridden.
package struct ModelQuestion: Sendable {
    private let model: CatalogueModel
    private let overrides: ModelOverrides

    /// - Throws: `invalid` for members that cannot be decoded.
    package init(_ model: CatalogueModel, _ members: RequestMembers) throws(InitError) {
        self.model = model
        overrides = try ModelOverrides(members)
    }

    /// Checks and plans, as ``Question/answer(_:)`` does.
    package func answer(_ asking: Asking) throws(InitError) -> Answer? {
        guard asking.allowance.covers(model.planningNeed) else { return nil }
        let planned = try model.plan(overrides, asking)
        let request = InitMembers.model(planned.members)
        let named = overrides.format ?? planned.members.format
        let format = try request.format(named, or: asking.preference)
        var answer = try PlannedAnswer(request, planned.plan, asking.context).answer(in: format)
        answer.lifetime = .catalogue
        answer.isNegotiated = named == nil
        answer.fileName = (model.name.split(separator: "/").last ?? model.name) + "." + format.fileExtension
        return answer
    }
}
