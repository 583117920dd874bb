internal import ByteText
import TensorFormats
import WeightInit

/// The plan of a request to `/init`. Nothing is generated, unless the request asks for the digest of the body.
struct ExplainQuestion: Question {
    /// Changes if the answer to the same request changes within a release.
    private static let revision: Text = "4"

    private let members: InitMembers
    private let wantsDigest: Bool

    init(_ members: RequestMembers) throws(InitError) {
        self.members = try InitMembers(members)
        wantsDigest = members.wantsDigest
        if wantsDigest, self.members.format == nil {
            throw .invalid(MemberTable.digest.name, "needs a format: it is the digest of a body")
        }
    }

    func answer(_ asking: Asking) throws(InitError) -> Answer? {
        guard let plan = try members.plan(asking) else { return nil }
        let format = members.format
        if format != nil, try members.format(format, or: asking.preference) == .safetensors {
            try plan.checkSafetensorsNames()
        }
        try asking.preference.requireJSON()
        var answer = try explanation(plan, format, asking.context)
        answer.url = { [members, wantsDigest] in members.url($0, format, withDigest: wantsDigest) }
        answer.identity = Identity(
            of: wantsDigest ? "explain with digest" : "explain",
            members.canonicalText,
            format?.name ?? "",
            Release.bits,
            Text(Release.version),
            Self.revision
        )
        return answer
    }

    private func explanation(
        _ plan: Plan,
        _ format: TensorFormat?,
        _ context: OperationContext
    ) throws(InitError) -> Answer {
        guard wantsDigest, let format else {
            var answer = Answer(.document(document(of: plan)), mediaType: Answer.json, lifetime: .release)
            answer.memory = plan.memory
            return answer
        }
        return try PlannedAnswer(members, plan, context).document(withDigestIn: format) { document(of: plan, $0) }
    }

    /// - Parameter digest: SHA-256 of the body, if the request asks for it.
    private func document(of plan: Plan, _ digest: Text? = nil) -> JSONDocument {
        var head: [JSONValue.Member] = []
        head.append("url", .string(members.url("/init", members.format)))
        head.append("sha256", digest.map(JSONValue.string))
        switch members {
        case .tensor(let members):
            head += members.identity(plan.tensors.first)
            head.append("parameters", .object(members.argumentsInForce))
            for tensor in plan.tensors {
                head.append("bytes", .integer(tensor.byteCount))
                head.append(factsOf: plan.draw(of: tensor))
                head.append("exact", plan.isExact(tensor) ? nil : .boolean(false))
            }
            return JSONDocument(head)
        case .model(let members):
            var document = JSONDocument(head + members.identity + plan.totals)
            document.append("tensors", count: plan.tensors.count) { index in
                let tensor = plan.tensors[index]
                var explanation = tensor.explanation(plan)
                explanation.append("exact", plan.isExact(tensor) ? nil : .boolean(false))
                explanation.append("steps", tensor.steps.isEmpty ? nil : .integers(tensor.steps))
                return .object(explanation)
            }
            if !members.request.steps.isEmpty {
                let draws = plan.drawsWithTensors
                document.append("draws", count: draws.count) {
                    .object(draws[$0].draw.explanation(of: draws[$0].tensors))
                }
            }
            return document
        }
    }
}

extension Plan {
    fileprivate var totals: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("parameters", .integer(parameterCount))
        members.append("bytes", .integer(byteCount))
        members.append("words", words.map { .integer($0) } ?? .null)
        return members
    }
}

extension PlannedTensor {
    fileprivate func explanation(_ plan: Plan) -> [JSONValue.Member] {
        let draw = plan.draw(of: self)
        var members: [JSONValue.Member] = []
        // One allocation, as there are many tensors.
        members.reserveCapacity(24)
        members.append("name", .string(name))
        members += geometry
        members.append("buffer", isBuffer ? .boolean(true) : nil)
        members.append("rule", rule.map { .string(JSONPointer.text(of: $0.path)) } ?? .null)
        members.append("method", .string(draw?.method ?? "steps"))
        members.append("bytes", .integer(byteCount))
        members.append("effective_seed", .integer(draw?.seed ?? plan.seed.effective))
        members.append(factsOf: draw)
        return members
    }
}

extension [JSONValue.Member] {
    /// Adds the facts about a tensor that are known before any element is generated.
    ///
    /// - Parameter draw: The draw that initialised the tensor last; `nil` if steps write all of its elements.
    fileprivate mutating func append(factsOf draw: Draw?) {
        let resolution = draw?.resolution
        append("formula", .string(Text(draw?.formula ?? "the elements that steps write")))
        append("fan_in", resolution?.fan.map { .integer($0.fanIn) })
        append("fan_out", resolution?.fan.map { .integer($0.fanOut) })
        append("gain", resolution?.gain.map(JSONValue.double))
        append("mean", resolution?.mean.map(JSONValue.double))
        append("std", resolution?.std.map(JSONValue.double))
        append("bound", resolution?.bound.map(JSONValue.double))
        append("words", draw.map { $0.words.map { .integer($0) } ?? .null } ?? .integer(0))
        append("start", draw?.start?.document ?? .null)
        append("warnings", .strings((resolution?.warnings ?? []).map { Text($0) }))
    }
}

extension Draw {
    /// Method, size and place in the stream of one draw.
    ///
    /// - Parameter tensors: Names of the tensors that have elements of the draw: none if the draw is discarded or
    ///   overwritten.
    fileprivate func explanation(of tensors: [Text]) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("method", .string(method))
        members.append("elements", .integer(count))
        members.append("dtype", .string(dtype.word))
        members.append("step", step.map { .integer($0) })
        members.append("words", words.map { .integer($0) } ?? .null)
        members.append("start", start?.document ?? .null)
        members.append("tensors", .strings(tensors))
        return members
    }
}

extension StreamPosition {
    fileprivate var document: JSONValue {
        ["word": .integer(word), "cached_sample": cachedSample.map { .integer($0) } ?? .null]
    }
}
