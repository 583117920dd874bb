/// Whom the service answers, and what it answers where.
public struct ServicePolicy: Sendable {
    /// Who may ask; `nil` for anyone.
    public var tokens: AccessTokens?
    /// Pages of which origins may read the answers; `nil` for none.
    public var crossOrigin: CrossOrigin?
    /// Whether metrics are served by ``MetricsService`` alone.
    public var metricsAreApart = false

    public init() {}
}
