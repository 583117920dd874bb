private import CTorchKernels

/// Functions of the C library whose bits are part of the promise.
public enum Libm {
    /// `pow` with an exponent that the optimiser does not see: it turns pow(x, 2) with a literal 2 into x·x, which has
    /// other bits than Python's `**`.
    public static func pow(_ base: Double, _ exponent: Double) -> Double {
        ctk_pow(base, exponent)
    }

    /// The effect of a ``deviation``, for whoever runs the service.
    public static let consequence =
        "normals in float64 and of fewer than 16 elements differ from other hosts', and so do all entity tags"

    /// Hexadecimal digits for this host's log, sin and cos if their bits differ from those behind PyTorch's; else empty.
    ///
    /// PyTorch's float64 normals, and normals of fewer than 16 elements, take them from glibc on a processor with FMA. A host
    /// without FMA, or with another C library, has other last bits.
    public static let deviation: String = {
        let digest = ctk_libm_digest()
        return digest == 0xaeb79cb94511b021 ? "" : String(digest, radix: 16)
    }()
}
