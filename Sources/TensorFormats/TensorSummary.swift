public import ByteSource
public import WeightInit

/// What can be said about a tensor's numbers without giving them.
public struct TensorSummary: Sendable, Equatable {
    public static func compute(
        _ source: any ByteSource,
        dtype: DType,
        range: ClosedRange<Double>? = nil,
        isCancelled: () -> Bool = { false }
    ) -> TensorSummary? { nil }
    /// Appends the members to an object that has been begun.
    public func writeMembers(to writer: inout JSONWriter) {}
}
