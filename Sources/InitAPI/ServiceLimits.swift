public import Settings
public import WeightInit

/// Limits on the size of one request and on the work that it may ask for. An error names the limit that it exceeds.
public struct ServiceLimits: Sendable {
    /// Bytes of a request's body.
    public var maximumBodyBytes = 1 << 20
    /// Depth of nested arrays and objects in a request's JSON.
    public var maximumJSONDepth = 64
    /// Values in a request's JSON, at every level.
    public var maximumJSONValues = 1 << 17
    /// Elements of a JSON reply; an empty row counts as one.
    public var maximumJSONElements = 1 << 24
    /// Elements of the tensors of a summary.
    public var maximumSummaryElements = 1 << 32
    /// Elements made before the first byte, to count the random words that they take or to compute norms.
    public var maximumCountedElements = 1 << 40
    /// Bytes of memory for the work before a reply's first byte.
    public var maximumWorkBytes = 2 << 30
    /// Bytes of the cache of work results: orthogonal matrices, sparse masks, counted stream positions. 0 turns it off.
    public var cacheBytes = 256 << 20
    /// Bytes of a model's tensors above which the tensors are split into several files.
    public var maximumShardBytes = 5_000_000_000
    /// Bytes of memory of the files of all models that the operator adds to the catalogue.
    public var maximumModelBytes = 64 << 20
    /// Files and directories that a directory of models may have in all.
    public var maximumModelFiles = 10_000
    /// Bytes of the cache of decoded and planned models of the catalogue. 0 turns it off.
    public var modelCacheBytes = 16 << 20
    /// Bytes of a URL in a reply's head. libmicrohttpd has no room for a longer URL, in a reply or in a request.
    public var maximumLocationBytes = 16 << 10
    /// Limits of the tensors themselves.
    public var tensors = Limits()

    public init() {}
}

extension ServiceLimits: Configurable {
    public static let settings: [Setting<ServiceLimits>] =
        [
            Setting(
                "max-body-bytes",
                in: .requests,
                \.maximumBodyBytes,
                0...1 << 30,
                of: "bytes",
                "Maximum size in bytes of a request body."
            ),
            // The parser recurses.
            Setting(
                "max-json-depth",
                in: .requests,
                \.maximumJSONDepth,
                1...1024,
                "Maximum depth of arrays and objects in a JSON request."
            ),
            Setting(
                "max-json-values",
                in: .requests,
                \.maximumJSONValues,
                1...Int.max,
                "Maximum number of values in a JSON request."
            ),
            Setting(
                "max-json-elements",
                in: .requests,
                \.maximumJSONElements,
                1...Int.max,
                "Maximum number of elements in a JSON reply."
            ),
            Setting(
                "max-summary-elements",
                in: .requests,
                \.maximumSummaryElements,
                1...Int.max,
                "Maximum number of elements that a summary covers."
            ),
            Setting(
                "max-counted-elements",
                in: .requests,
                \.maximumCountedElements,
                1...Int.max,
                "Maximum number of elements made before a reply's first byte, to count random words (trunc_normal) or for a norm."
            ),
            Setting(
                "max-work-bytes",
                in: .memory,
                \.maximumWorkBytes,
                1...Int.max,
                of: "bytes",
                "Memory in bytes of all work before first bytes, running and finished."
            ),
            Setting(
                "cache-bytes",
                in: .memory,
                \.cacheBytes,
                0...Int.max,
                of: "bytes",
                "Size in bytes of the cache of finished work; 0 turns it off."
            ),
            Setting(
                "max-shard-bytes",
                in: .catalogue,
                \.maximumShardBytes,
                1...Int.max,
                of: "bytes",
                "Size in bytes of a model's tensors over which its repository has several files of weights, and of each file."
            ),
            Setting(
                "max-model-bytes",
                in: .catalogue,
                \.maximumModelBytes,
                0...Int.max,
                of: "bytes",
                "Memory in bytes of the files in --models."
            ),
            Setting(
                "max-model-files",
                in: .catalogue,
                \.maximumModelFiles,
                0...Int.max,
                "Maximum number of files and directories in --models."
            ),
            Setting(
                "model-cache-bytes",
                in: .catalogue,
                \.modelCacheBytes,
                0...Int.max,
                of: "bytes",
                "Size in bytes of the cache of decoded and planned models of the catalogue; 0 turns it off."
            ),
        ] + Limits.settings.map { $0.within(\.tensors) }
}

extension ServiceLimits {
    /// A limit on a finished plan. Limits that planning itself could exceed are checked while it counts.
    private struct PlanLimit: Sendable {
        let limit: any KeyPath<ServiceLimits, Int> & Sendable
        /// Description of the measured amount, as it follows the number.
        let unit: String
        let measure: @Sendable (Plan, PreparationCost?) -> Int
    }

    private static let planLimits = [
        PlanLimit(limit: \.maximumWorkBytes, unit: "bytes of memory for the work before the first byte") { _, cost in
            cost?.memory ?? 0
        },
        PlanLimit(limit: \.maximumCountedElements, unit: "elements to make before the first byte") { _, cost in
            cost?.countedElements ?? 0
        },
    ]

    /// - Throws: `tooLarge` for the first exceeded limit.
    func check(_ plan: Plan, _ cost: PreparationCost?) throws(InitError) {
        for row in ServiceLimits.planLimits {
            let (amount, most) = (row.measure(plan, cost), self[keyPath: row.limit])
            guard amount <= most else {
                throw InitError(over: row.limit, [], "\(amount) \(row.unit) are over the limit of \(most)")
            }
        }
    }
}

extension InitError {
    /// The detail and, if a limit is exceeded, the option that sets it.
    package var message: String {
        detail + (limit.map { " (--\($0))" } ?? "")
    }
}
