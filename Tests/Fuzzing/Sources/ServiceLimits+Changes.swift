import InitAPI

extension ServiceLimits {
    /// The default limits with changes.
    static func with(_ change: (inout ServiceLimits) -> Void) -> ServiceLimits {
        var limits = ServiceLimits()
        change(&limits)
        return limits
    }
}
