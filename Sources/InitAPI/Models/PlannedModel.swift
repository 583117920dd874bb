internal import ByteText
import TensorFormats
import WeightInit

/// A model's request at one seed, with its plan.
struct PlannedModel: Sendable {
    let members: ModelMembers
    let plan: Plan
    let need: PlanningNeed

    /// Bytes of memory that the members and the plan take.
    var memory: Int {
        need.structureMemory.addingClamped(need.literalText).addingClamped(plan.literalByteCount)
    }
}

extension CatalogueModel {
    /// The request with other values for some members, planned. The result is cached for later requests with the same
    /// values.
    func plan(_ overrides: ModelOverrides, _ asking: Asking) throws(InitError) -> PlannedModel {
        let key = Identity(of: "plan", digest, overrides.key).digest
        return try asking.context.modelCache.value(
            key,
            byteCount: \.memory,
            isCancelled: asking.allowance.isCancelled
        ) { isCancelled throws(InitError) in
            try self.makePlan(overrides, asking.context, isCancelled)
        }
    }

    /// The request with other values for some members, planned. The decoded request is cached, because it serves all
    /// values.
    func makePlan(
        _ overrides: ModelOverrides,
        _ context: OperationContext,
        _ isCancelled: () -> Bool
    ) throws(InitError) -> PlannedModel {
        let key = Identity(of: "members", digest).digest
        let need = planningNeed
        var members = try context.modelCache.value(
            key,
            byteCount: { _ in need.structureMemory.addingClamped(need.literalText) },
            isCancelled: isCancelled
        ) { _ throws(InitError) in
            try self.members(context.limits)
        }
        overrides.apply(to: &members)
        let plan = try withoutActuallyEscaping(isCancelled) { isCancelled throws(InitError) in
            try Plan(members.request, seed: members.seed, limits: context.limits.tensors, isCancelled: isCancelled)
        }
        return PlannedModel(members: members, plan: plan, need: need)
    }
}

/// Members given beside a model's name, which take the place of the request's own.
struct ModelOverrides: Sendable {
    static let table =
        [
            MemberTable.seed, MemberTable.cast, MemberTable.include, MemberTable.slices,
        ] + MemberTable.reply

    var seed: Seed?
    var cast: DType?
    var format: TensorFormat?
    var include: [Glob]?
    var slices: [Text: Slice]?

    init(seed: Seed) {
        self.seed = seed
    }

    /// - Throws: `invalid` for members that cannot be decoded.
    init(_ members: RequestMembers) throws(InitError) {
        let members = try members.withJSON(of: [MemberTable.include, MemberTable.slices])
        let decoded = try members.decode(by: Self.table)
        let decoder = ModelDecoder(dtype: .float32, hasSteps: false)
        seed = try decoded.text("seed").map { text throws(InitError) in try Seed(decimal: text) }
        cast = decoded.dtype("cast")
        format = decoded.text("format").flatMap(TensorFormat.named)
        if members.has("include") { include = try decoder.include(of: members) }
        if members.has("slices") { slices = try decoder.slices(of: members) }
    }

    func apply(to members: inout ModelMembers) {
        if let seed { members.seed = seed }
        if let cast { members.request.cast = cast }
        if let include { members.request.include = include }
        if let slices { members.request.slices = slices }
    }

    /// Cache key: different for overrides that make different requests of the same model.
    fileprivate var key: Text {
        var members: [JSONValue.Member] = []
        members.append("seed", seed.map { .string(Text($0.description)) })
        members.append("cast", cast.map { .string($0.word) })
        members.append("include", include.map { .strings($0.map(\.pattern)) })
        let sorted = slices?.sorted { $0.key < $1.key }
        members.append(
            "slices",
            sorted.map {
                .object($0.map { JSONValue.Member(name: $0.key, value: .string(Text($0.value.description))) })
            }
        )
        return JSONValue.object(members).encodedText
    }
}

extension RequestMembers {
    /// The same members, in which texts of the table's members are read as JSON or as a comma-separated list of words.
    func withJSON(of table: [Member]) throws(InitError) -> RequestMembers {
        var members = self
        for (index, member) in given.enumerated() where table.contains(where: { $0.name == member.name }) {
            guard case .text(let text) = member.value else { continue }
            let isJSON = text.trimmed.hasPrefix("[") || text.trimmed.hasPrefix("{")
            do {
                let words = text.isEmpty ? [] : text.split(separator: ",")
                members.given[index].value = .json(isJSON ? try JSONParser.parse(Array(text.utf8)) : .strings(words))
            } catch {
                throw error.under(member.name)
            }
        }
        return members
    }
}
