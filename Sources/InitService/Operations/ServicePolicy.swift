/// The operator's choices about clients, paths, metrics and headers.
public struct ServicePolicy: Sendable {
    /// Tokens of the clients; `nil` if none is needed.
    public var tokens: AccessTokens?
    /// Origins whose pages may read the responses; `nil` for none.
    public var crossOrigin: CrossOrigin?
    /// `true` if only ``MetricsService`` serves metrics.
    public var metricsAreApart = false

    /// Path below which a proxy serves the service; `nil` for the root.
    public var pathPrefix: PathPrefix?
    /// `true` if responses have `Server-Timing`. The transport then caches no responses.
    public var timesResponses = false

    public init() {}
}
