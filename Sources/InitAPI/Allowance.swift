internal import ByteText
import WeightInit

/// Processor time and memory of a piece of work, estimated before the work is done.
package struct WorkEstimate: Sendable, Equatable {
    package var duration: Duration
    /// Bytes.
    package var memory: Int

    package init(duration: Duration = .zero, memory: Int = 0) {
        self.duration = duration
        self.memory = memory
    }

    /// A duration longer than a thread that serves connections may take. Adding it to an estimate makes sure that the
    /// work is deferred.
    static let deferredDuration = Duration.milliseconds(3)

    static func + (left: WorkEstimate, right: WorkEstimate) -> WorkEstimate {
        WorkEstimate(duration: left.duration + right.duration, memory: left.memory.addingClamped(right.memory))
    }
}

/// Counts that decide how long planning a model of the catalogue takes and how much memory it needs.
package struct PlanningNeed: Sendable, Equatable {
    /// Planning takes about as long as planning this many tensors of average requests.
    let tensors: Int
    /// Bytes of the literals' text in the request.
    let literalText: Int
    /// Bytes of the literals' elements.
    let literalBytes: Int

    /// Bytes of an average request for each tensor, without literals.
    private static let averageBytes = 128

    /// - Parameters:
    ///   - tensors: Tensors that are sent.
    ///   - requestBytes: Bytes of the whole request.
    init(tensors: Int, requestBytes: Int, literalText: Int, literalBytes: Int) {
        self.tensors = max(tensors, (requestBytes - literalText) / Self.averageBytes)
        self.literalText = literalText
        self.literalBytes = literalBytes
    }

    /// Bytes of memory that the decoded request and its plan take, without literals. Measured.
    var structureMemory: Int { tensors.multipliedClamped(by: 2 * PlannedAnswer.memoryOfTensor) }
}

/// The most work that one attempt at an answer may do.
///
/// The first attempt is made on a thread that serves connections, and may take about 2 ms. If its allowance is too
/// small, an attempt ends early, and the next attempt is deferred work with a wider allowance. Planning is bounded by
/// counts, so an unsuccessful attempt costs no more than its allowance.
package struct Allowance: Sendable {
    /// Bytes of a request that may be parsed.
    package private(set) var requestBytes: Int
    /// Number of tensors that may be planned. Twice as many layers and steps may be.
    private(set) var tensors: Int
    /// Comparisons of rules with parameters.
    private(set) var ruleMatches: Int
    /// Bytes of literals that may be decoded.
    private(set) var literalBytes: Int
    /// Bytes of literals' text that may be parsed in a request of the catalogue, in addition to `requestBytes`.
    private(set) var literalText: Int
    /// Work on tensors that must be done before the first byte.
    private(set) var work: WorkEstimate
    /// Turns true when nobody waits for the answer any more. The attempt then ends within a few milliseconds.
    package private(set) var isCancelled: @Sendable () -> Bool = { false }

    /// The allowance on a thread that serves connections.
    package static let immediate = Allowance(
        requestBytes: 4 << 10,
        tensors: steps[0],
        ruleMatches: 40 * steps[0],
        literalBytes: 512 * steps[0],
        literalText: 128 * steps[0],
        work: WorkEstimate(duration: .milliseconds(2), memory: 1 << 20)
    )

    /// The allowance for a caller that keeps no other request waiting, such as the command.
    package static let unbounded = Allowance(
        requestBytes: .max,
        tensors: .max,
        ruleMatches: .max,
        literalBytes: .max,
        literalText: .max,
        work: WorkEstimate(duration: .seconds(Int64.max), memory: .max)
    )

    /// A model of 3200 tensors takes about 100 ms, which is still short work.
    private static let steps = [128, 3200, 25_600, .max]

    /// The allowance for an attempt whose request is longer than this one allows.
    package func parsing(_ byteCount: Int) -> Allowance {
        var wider = self
        wider.requestBytes = max(requestBytes, byteCount)
        return wider
    }

    /// The allowance for an attempt whose model is larger than this one allows.
    package var planningMore: Allowance {
        var wider = self
        wider.tensors = Self.steps.first { $0 > tensors } ?? .max
        wider.ruleMatches = wider.tensors.multipliedClamped(by: 40)
        wider.literalBytes = wider.tensors.multipliedClamped(by: 512)
        return wider
    }

    /// The allowance for an attempt whose model of the catalogue needs more than this one allows.
    package func planning(_ need: PlanningNeed) -> Allowance {
        var wider = self
        // The decoded request takes as much memory as its plan.
        wider.tensors = max(tensors, need.tensors.multipliedClamped(by: 2))
        wider.literalBytes = max(literalBytes, need.literalBytes)
        wider.literalText = max(literalText, need.literalText)
        return wider
    }

    /// The allowance for an attempt that needs this work before the first byte.
    package func working(_ need: WorkEstimate) -> Allowance {
        var wider = self
        wider.work = need
        return wider
    }

    /// The same allowance for an attempt that can be cancelled.
    package func until(_ isCancelled: @escaping @Sendable () -> Bool) -> Allowance {
        var same = self
        same.isCancelled = isCancelled
        return same
    }

    func covers(layers: Int) -> Bool { layers <= tensors.multipliedClamped(by: 2) }

    func covers(_ need: PlanningNeed) -> Bool {
        need.tensors <= tensors && need.literalText <= literalText && need.literalBytes <= literalBytes
    }

    package func covers(_ need: WorkEstimate) -> Bool {
        need.duration <= work.duration && need.memory <= work.memory
    }

    /// The cost of an attempt that uses the whole allowance.
    ///
    /// - Parameter limits: Limits that bound planning.
    package func estimate(within limits: ServiceLimits) -> WorkEstimate {
        let tensors = min(tensors, max(limits.tensors.maximumTensors, limits.tensors.maximumLayers))
        let bytes = min(requestBytes, max(limits.maximumBodyBytes, limits.maximumLocationBytes))
        let literals = min(literalBytes, limits.tensors.maximumLiteralBytes)
        // Base64 has four characters for three bytes.
        let text = min(literalText, limits.tensors.maximumLiteralBytes.multipliedClamped(by: 2))
        return WorkEstimate(
            duration: Self.durationOfByte * bytes + Self.durationOfTensor * tensors + Self.durationOfLiteralByte
                * literals + Self.durationOfLiteralText * text,
            memory: bytes.multipliedClamped(by: Self.memoryOfByte)
                .addingClamped(tensors.multipliedClamped(by: PlannedAnswer.memoryOfTensor))
                .addingClamped(literals)
                .addingClamped(text.multipliedClamped(by: Self.memoryOfLiteralText))
        ) + work
    }

    // Measured.
    private static let durationOfByte = Duration.nanoseconds(200)
    private static let durationOfTensor = Duration.microseconds(25)
    private static let durationOfLiteralByte = Duration.nanoseconds(5)
    /// Bytes that parsed JSON and decoded members take for each byte of their text.
    private static let memoryOfByte = 32
    private static let durationOfLiteralText = Duration.nanoseconds(15)
    /// Bytes for each byte of the literals' text. The unpacked request, its members, the canonical request and the
    /// header hold copies of the text.
    private static let memoryOfLiteralText = 6

    /// The limits of planning, narrowed to this allowance.
    fileprivate func narrowing(_ limits: Limits) -> Limits {
        var limits = limits
        limits.maximumLayers = min(limits.maximumLayers, tensors.multipliedClamped(by: 2))
        limits.maximumTensors = min(limits.maximumTensors, tensors)
        limits.maximumRuleMatches = min(limits.maximumRuleMatches, ruleMatches)
        limits.maximumSteps = min(limits.maximumSteps, tensors.multipliedClamped(by: 2))
        limits.maximumLiteralBytes = min(limits.maximumLiteralBytes, literalBytes)
        return limits
    }
}

extension InitMembers {
    /// Plans the request within the allowance.
    ///
    /// - Returns: `nil` if the allowance is too small for the request.
    func plan(_ asking: Asking) throws(InitError) -> Plan? {
        let limits = asking.context.limits.tensors
        let narrow = asking.allowance.narrowing(limits)
        if case .model(let members) = self, members.request.entries.probableTensors > narrow.maximumTensors,
            !narrow.hasCounts(of: limits)
        {
            return nil
        }
        do {
            return try plan(narrow, isCancelled: asking.allowance.isCancelled)
        } catch {
            // The error does not tell whether the allowance or the service's limit was exceeded. If it was the
            // service's limit, the attempt with a wider allowance meets it again.
            guard case .model = self, error.kind == .tooLarge, !narrow.hasCounts(of: limits) else { throw error }
            return nil
        }
    }
}

extension [ModelEntry] {
    /// Estimated number of tensors. Without the estimate, an attempt with too many tensors would use its whole
    /// allowance before it fails.
    fileprivate var probableTensors: Int {
        reduce(0) { sum, entry in
            let tensors =
                switch entry.content {
                case .layer(let layer): layer.probableTensors
                case .parameter: 1
                case .block(let entries): entries.probableTensors
                }
            return sum.addingClamped(tensors.multipliedClamped(by: entry.repetitions ?? 1))
        }
    }
}

extension LayerRequest {
    /// A weight and, unless it is turned off, a bias; 0 for a layer without tensors.
    fileprivate var probableTensors: Int {
        guard LayerType.named(type)?.hasState == true else { return 0 }
        return arguments["bias"] == .boolean(false) ? 1 : 2
    }
}

extension Limits {
    fileprivate func hasCounts(of other: Limits) -> Bool {
        maximumLayers == other.maximumLayers && maximumTensors == other.maximumTensors
            && maximumRuleMatches == other.maximumRuleMatches && maximumSteps == other.maximumSteps
            && maximumLiteralBytes == other.maximumLiteralBytes
    }
}

extension Int {
    package func addingClamped(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }

    package func multipliedClamped(by other: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}
