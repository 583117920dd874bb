import WeightInit

/// A plan together with the way to prepare it: at once, from the cache, or by work.
struct PlanPreparation: Sendable {
    let plan: Plan
    /// Bytes that the work takes; 0 where there is none to do.
    let memory: Int
    private let isTrivial: Bool
    private let cache: PreparationCache
    /// What all plans share that are prepared alike.
    private let key: String

    init(_ plan: Plan, of members: InitMembers, _ service: InitService) throws(InitError) {
        self.plan = plan
        cache = service.preparations
        guard let preparation = plan.preparation else {
            (memory, isTrivial, key) = (0, true, "")
            return
        }
        let limits = service.limits
        guard preparation.memory <= limits.maximumWorkBytes else {
            throw InitError(
                .tooLarge,
                [],
                "the work before the first byte would take \(preparation.memory) bytes of memory, over the limit of "
                    + "\(limits.maximumWorkBytes) (--max-work-bytes)"
            )
        }
        guard preparation.countedElements <= limits.maximumCountedElements else {
            throw InitError(
                .tooLarge,
                [],
                "\(preparation.countedElements) elements would have to be made only to count the words they draw, over "
                    + "the limit of \(limits.maximumCountedElements) (--max-counted-elements)"
            )
        }
        (memory, isTrivial) = (preparation.memory, false)
        key =
            EntityTag(
                of: members.canonicalDraws.encodedText,
                InitService.profile,
                try plan.linearAlgebraCore
            ).opaque
    }

    /// The prepared plan where that takes no work.
    func trivial() throws(InitError) -> PreparedPlan? {
        isTrivial ? try plan.prepared() : nil
    }

    /// The prepared plan where that takes no work, or where it has been done.
    func ready() throws(InitError) -> PreparedPlan? {
        try trivial() ?? cache.kept(key).map(plan.prepared)
    }

    /// Prepares the plan, or waits for who is doing it, unless it is `ready`.
    ///
    /// - Returns: Also the bytes of memory that the plan then holds and the cache does not count. `nil` when cancelled.
    func make(_ isCancelled: () -> Bool, _ ready: PreparedPlan?) throws(InitError) -> (PreparedPlan, Int)? {
        if let ready { return (ready, 0) }
        let share = try cache.share(key, isCancelled: isCancelled) { isCancelled throws(InitError) in
            try plan.prepare(isCancelled: isCancelled)
        }
        return share.map { (plan.prepared($0.draws), $0.uncountedBytes) }
    }
}
