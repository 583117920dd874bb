package import ByteText
package import WeightInit

/// A model at one revision, as the repository of files that a client of the Hub sees.
package struct ModelRepository: Sendable {
    package let model: CatalogueModel
    package let revision: ModelRevision

    /// - Returns: `nil` if the model has no such revision.
    package init?(_ model: CatalogueModel, revision: Text, _ context: OperationContext) {
        guard
            let revision = ModelRevision(
                revision,
                of: model,
                maximumShardBytes: context.limits.maximumShardBytes
            )
        else { return nil }
        self.model = model
        self.revision = revision
    }

    /// Result of looking a file up.
    package enum Lookup: Sendable {
        case found(Answer)
        case missing
        /// The allowance is too small for planning the weights.
        case exceeds
    }

    /// Looks a file up. Only files of weights need the model to be planned.
    package func file(_ name: Text, _ asking: Asking) throws(InitError) -> Lookup {
        if let stored = model.files.first(where: { $0.name == name }) {
            return .found(Answer(stored, lifetime))
        }
        guard let file = WeightFile(name: name) else { return .missing }
        guard let weights = try weights(asking) else { return .exceeds }
        guard var answer = weights.answers.first(where: { $0.file == file })?.answer else { return .missing }
        answer.lifetime = lifetime
        return .found(answer)
    }

    /// A file in a list.
    package struct Entry: Sendable {
        package var name: Text
        package var byteCount: Int
        /// Equal for files with the same bytes.
        package var identity: Identity
        /// SHA-256 of the bytes, if it is known.
        package var sha256: Text?
    }

    /// All files, sorted by their names.
    ///
    /// - Returns: `nil` if the allowance is too small for planning the weights.
    package func entries(_ asking: Asking) throws(InitError) -> [Entry]? {
        guard let weights = try weights(asking) else { return nil }
        var entries = model.files.map { file in
            Entry(name: file.name, byteCount: file.byteCount, identity: file.identity, sha256: file.sha256)
        }
        for (file, answer) in weights.answers {
            guard let byteCount = answer.byteCount, let identity = answer.identity else { continue }
            entries.append(Entry(name: file.name, byteCount: byteCount, identity: identity))
        }
        return entries.sorted { $0.name < $1.name }
    }

    /// Lifetime of the answers. The files of a commit never change.
    package var lifetime: Answer.Lifetime { revision.isCommit ? .forever : .catalogue }

    private func weights(_ asking: Asking) throws(InitError) -> WeightFiles? {
        let cache = asking.context.modelCache
        let key = Identity(of: "weights", model.digest, revision.commit).digest
        if let kept: WeightFiles = cache.kept(key) { return kept }
        guard asking.allowance.covers(model.planningNeed) else { return nil }
        return try cache.value(key, byteCount: \.memory, isCancelled: asking.allowance.isCancelled) {
            isCancelled throws(InitError) in
            // The plan is not cached separately: the files are written from it and hold it.
            let planned = try model.makePlan(ModelOverrides(seed: revision.seed), asking.context, isCancelled)
            return try WeightFiles(planned, asking.context)
        }
    }
}
