public import WeightInit

/// How much one request may hold and ask for. Each is an option of the command and is named when it is exceeded.
public struct ServiceLimits: Sendable {
    /// Bytes of a request's body.
    public var maximumBodyBytes = 1 << 20
    /// Arrays and objects inside one another in a request's JSON.
    public var maximumJSONDepth = 64
    /// Values in a request's JSON, at every level.
    public var maximumJSONValues = 1 << 17
    /// Elements of a JSON reply; rows that are empty count as one.
    public var maximumJSONElements = 1 << 24
    /// Elements that a summary may go through.
    public var maximumSummaryElements = 1 << 32
    /// Weights that the runs through a stack of layers may make.
    public var maximumPropagatedWeights = 1 << 27
    /// Elements that may be made only to count the words they draw.
    public var maximumCountedElements = 1 << 40
    /// Bytes of memory that the work before a reply's first byte may take.
    public var maximumWorkBytes = 2 << 30
    /// Bytes of what is kept of work done: orthogonal matrices, sparse masks, the starts that a model's words were counted
    /// for. 0 keeps nothing.
    public var cacheBytes = 256 << 20
    /// Bytes of a URL that a reply may name. A head of libmicrohttpd's has no room for a longer one, and no request would.
    public var maximumLocationBytes = 16 << 10
    /// What the tensors themselves may not exceed.
    public var tensors = Limits()

    public init() {}
}
