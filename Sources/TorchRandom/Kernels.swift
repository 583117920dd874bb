internal import CTorchKernels
private import Glibc

/// The kernels compiled for one instruction set; the kernels of all instruction sets give the same bits.
public struct Kernels: @unchecked Sendable {
    // Points to a constant.
    let functions: UnsafePointer<ctk_kernels>

    /// `avx512`, `avx2`, `neon` or `portable`.
    public var name: String { String(cString: functions.pointee.name) }

    /// The kernels that this processor can run, best first.
    public static let all: [Kernels] = {
        var found = [UnsafePointer<ctk_kernels>](repeating: ctk_best(), count: 8)
        let count = ctk_variants(&found, found.count)
        return found.prefix(count).map { Kernels(functions: $0) }
    }()

    /// Names of all kernels for this architecture, including kernels that this processor cannot run.
    public static let names: [String] = {
        #if arch(x86_64)
            ["avx512", "avx2", "portable"]
        #elseif arch(arm64)
            ["neon"]
        #else
            ["portable"]
        #endif
    }()

    /// The kernels that the environment variable `WEIGHT_INIT_KERNEL` names, if this processor can run them; otherwise
    /// the best ones.
    public static let selected: Kernels = all.first { $0.name == wanted } ?? Kernels(functions: ctk_best())

    /// The value of `WEIGHT_INIT_KERNEL` if it is set and this processor has no kernels of that name.
    public static let ignoredName: String? = wanted.flatMap { name in all.contains { $0.name == name } ? nil : name }

    private static let wanted = getenv("WEIGHT_INIT_KERNEL").map { String(cString: $0) }
}
