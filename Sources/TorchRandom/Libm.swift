private import CTorchKernels

/// Functions of the C library whose bits reach the results.
public enum Libm {
    /// `pow` with an exponent that the optimiser does not see: the optimiser turns pow(x, 2) with a literal 2 into x·x,
    /// which has other bits than Python's `**`.
    public static func pow(_ base: Double, _ exponent: Double) -> Double {
        ctk_pow(base, exponent)
    }

    /// The effect of a ``deviation``, in a message for the service's operator.
    public static let consequence =
        "normals in float64 and of fewer than 16 elements differ from those of other hosts; all entity tags differ, too"

    /// A hexadecimal digest of this host's functions if their bits differ from the functions that PyTorch uses; otherwise
    /// empty.
    ///
    /// PyTorch's float64 normals, and normals of fewer than 16 elements, use glibc's log, log1p, sin and cos on a processor
    /// with FMA, and its gains use pow. A host without FMA, or with another C library, has other last bits.
    public static let deviation: String = {
        let digest = ctk_libm_digest()
        return digest == 0x558fb38c25d2faf ? "" : String(digest, radix: 16)
    }()
}
