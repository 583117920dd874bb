private import CTorchKernels

/// Functions of the C library whose bits are part of the promise.
public enum Libm {
    /// `pow` with an exponent that the optimiser does not see: it turns pow(x, 2) with a literal 2 into x·x, which has
    /// other bits than Python's `**`.
    public static func pow(_ base: Double, _ exponent: Double) -> Double {
        ctk_pow(base, exponent)
    }
}
