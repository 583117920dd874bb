internal import ByteText
import WeightInit

/// A plan together with the way to prepare it: at once, from the cache, or by work.
///
/// A class, because the answer and every copy of it hold the ticket.
final class PreparationTicket: Sendable {
    let plan: Plan
    /// Estimate of the work; zero if there is none to do.
    let estimate: WorkEstimate
    private let isTrivial: Bool
    private let cache: PreparationCache
    /// Cache key: the same for all plans with the same preparation.
    private let key: Text

    init(_ plan: Plan, of members: InitMembers, _ context: OperationContext) throws(InitError) {
        self.plan = plan
        cache = context.preparations
        let cost = plan.preparationCost
        try context.limits.check(plan, cost)
        guard let cost else {
            (estimate, isTrivial, key) = (WorkEstimate(), true, "")
            return
        }
        (estimate, isTrivial) = (WorkEstimate(cost), false)
        key = Identity(of: members.canonicalDraws.encodedText, Release.profile).digest
    }

    /// The prepared plan, if preparing takes no work.
    func trivial() throws(InitError) -> PreparedPlan? {
        isTrivial ? try plan.prepared() : nil
    }

    /// `true` if preparing takes no work, or if its result is cached.
    var isReady: Bool { isTrivial || cache.kept(key) != nil }

    /// The prepared plan, if preparing takes no work or its result is cached.
    func ready() throws(InitError) -> PreparedPlan? {
        try trivial() ?? cache.kept(key).map(plan.prepared)
    }

    /// Prepares the plan, or waits for the thread that is preparing it, unless `ready` is given.
    ///
    /// - Returns: Also the bytes of memory that the plan then holds and the cache does not count. `nil` when cancelled.
    func make(_ isCancelled: () -> Bool, _ ready: PreparedPlan?) throws(InitError) -> (PreparedPlan, Int)? {
        if let ready { return (ready, 0) }
        let share = try cache.share(key, isCancelled: isCancelled) { isCancelled throws(InitError) in
            try self.plan.prepare(isCancelled: isCancelled)
        }
        return share.map { (plan.prepared($0.value), $0.uncountedBytes) }
    }
}

extension WorkEstimate {
    fileprivate init(_ cost: PreparationCost) {
        // Counting means making all elements once. A factorisation of n elements takes less than n^1.5 steps of a few
        // nanoseconds each, and at least 16 bytes for each element.
        let elements = Double(cost.memory) / 16
        let nanoseconds = 2 * Double(cost.countedElements) + cost.readWork + 2 * elements * elements.squareRoot()
        self.init(
            duration: WorkEstimate.deferredDuration + .nanoseconds(Int64(min(nanoseconds, 1e18))),
            memory: cost.memory
        )
    }
}
