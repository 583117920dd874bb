/// Whom the service answers, and what it answers where.
public struct ServicePolicy: Sendable {
    /// Tokens of the clients; `nil` if none is needed.
    public var tokens: AccessTokens?
    /// Pages of which origins may read the answers; `nil` for none.
    public var crossOrigin: CrossOrigin?
    /// `true` if only ``MetricsService`` serves metrics.
    public var metricsAreApart = false

    /// Path at which a proxy has the service; `nil` for the root.
    public var pathPrefix: PathPrefix?
    /// `true` if responses say how long they took, which also keeps the transport from keeping them.
    public var timesResponses = false

    public init() {}
}
