private import Glibc
private import TorchRandom

/// An activation and its gain: by how much the weights before it are scaled so that variance stays as it is.
public struct Nonlinearity: Sendable {
    public enum Convention: String, Sendable {
        /// The value that `torch.nn.init.calculate_gain` returns.
        case torch
        /// 1 / √E[f(z)²] for standard normal z: He et al. 2015, equation 10, for any activation.
        case he
    }

    /// The number that shapes an activation, such as the slope of a leaky ReLU.
    public struct Shaping: Sendable {
        public let name: String
        public let defaultValue: Double
    }

    public let name: String
    public let convention: Convention
    public let parameter: Shaping?
    private let value: @Sendable (Double) throws(InitError) -> Double

    /// The gain.
    ///
    /// - Parameter param: Shapes the activation; the default where `nil`; ignored, as PyTorch does, where there is none.
    /// - Throws: `refused` where PyTorch raises, or where there is no such activation or no finite gain.
    public func gain(param: Double? = nil) throws(InitError) -> Double {
        try value(param ?? parameter?.defaultValue ?? 0)
    }

    /// Looks a name up; names are case-sensitive, as in PyTorch.
    public static func named(_ name: String) -> Nonlinearity? {
        byName[name]
    }

    /// The names PyTorch itself knows, then those it refuses.
    public static let all: [Nonlinearity] = torchTable + heTable

    /// What `torch.nn.init.calculate_gain` takes, with its values.
    static let torchNames: [String] = torchTable.map(\.name)

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    private static func torch(_ name: String, _ gain: Double) -> Nonlinearity {
        Nonlinearity(name: name, convention: .torch, parameter: nil) { _ in gain }
    }

    private static let torchTable: [Nonlinearity] =
        [
            "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
            "sigmoid",
        ].map { torch($0, 1) } + [
            torch("tanh", 5.0 / 3),
            torch("relu", 2.0.squareRoot()),
            Nonlinearity(
                name: "leaky_relu",
                convention: .torch,
                parameter: Shaping(name: "negative_slope", defaultValue: 0.01)
            ) { slope throws(InitError) in try leakyReLUGain(slope) },
            torch("selu", 3.0 / 4),
        ]

    private static func leakyReLUGain(_ slope: Double) throws(InitError) -> Double {
        let square = Libm.pow(slope, 2)
        guard square.isFinite || !slope.isFinite else {
            throw .refused("param", "the square of the slope \(slope) is over the largest float64")
        }
        return (2.0 / (1 + square)).squareRoot()
    }

    /// An activation whose gain is found by quadrature; `kinks` are where it is not smooth.
    private static func he(
        _ name: String,
        _ parameter: Shaping? = nil,
        kinks: @escaping @Sendable (Double) -> [Double] = { _ in [] },
        accepts: @escaping @Sendable (Double) -> Bool = { _ in true },
        _ activation: @escaping @Sendable (_ z: Double, _ param: Double) -> Double
    ) -> Nonlinearity {
        Nonlinearity(name: name, convention: .he, parameter: parameter) { param throws(InitError) in
            guard param.isFinite, accepts(param) else {
                throw .refused("param", "\(name) is not defined for \(parameter?.name ?? "param") = \(param)")
            }
            let secondMoment = Gaussian.expectation(kinks: kinks(param)) { z in
                let f = activation(z, param)
                return f * f
            }
            let gain = 1 / secondMoment.squareRoot()
            guard gain.isFinite, gain > 0 else {
                throw .refused("param", "\(name) has no finite gain for \(parameter?.name ?? "param") = \(param)")
            }
            return gain
        }
    }

    private static let heTable: [Nonlinearity] = [
        he("celu", Shaping(name: "alpha", defaultValue: 1), kinks: { _ in [0] }, accepts: { $0 != 0 }) { z, alpha in
            max(0, z) + min(0, alpha * expm1(z / alpha))
        },
        he("elu", Shaping(name: "alpha", defaultValue: 1), kinks: { _ in [0] }) { z, alpha in
            z > 0 ? z : alpha * expm1(z)
        },
        he("gelu") { z, _ in z * Gaussian.cumulative(z) },
        he("gelu_tanh") { z, _ in
            0.5 * z * (1 + tanh((2 / Double.pi).squareRoot() * (z + 0.044715 * z * z * z)))
        },
        he("hardshrink", Shaping(name: "lambd", defaultValue: 0.5), kinks: { [-$0, $0] }, accepts: { $0 >= 0 }) {
            z,
            lambd in abs(z) > lambd ? z : 0
        },
        he("hardsigmoid", kinks: { _ in [-3, 3] }) { z, _ in min(max(z / 6 + 0.5, 0), 1) },
        he("hardswish", kinks: { _ in [-3, 3] }) { z, _ in z * min(max(z / 6 + 0.5, 0), 1) },
        he("hardtanh", kinks: { _ in [-1, 1] }) { z, _ in min(max(z, -1), 1) },
        he("logsigmoid") { z, _ in min(z, 0) - log1p(exp(-abs(z))) },
        he("mish") { z, _ in z * tanh(softplus(z)) },
        he("relu6", kinks: { _ in [0, 6] }) { z, _ in min(max(z, 0), 6) },
        he("silu") { z, _ in z / (1 + exp(-z)) },
        he("softplus", Shaping(name: "beta", defaultValue: 1), accepts: { $0 > 0 }) { z, beta in
            softplus(beta * z) / beta
        },
        he("softshrink", Shaping(name: "lambd", defaultValue: 0.5), kinks: { [-$0, $0] }, accepts: { $0 >= 0 }) {
            z,
            lambd in z > lambd ? z - lambd : z < -lambd ? z + lambd : 0
        },
        he("softsign", kinks: { _ in [0] }) { z, _ in z / (1 + abs(z)) },
        he("tanhshrink") { z, _ in z - tanh(z) },
    ]

    private static func softplus(_ z: Double) -> Double {
        max(z, 0) + log1p(exp(-abs(z)))
    }
}

/// A gain as a client may give it: a number, or an activation whose gain is meant.
public enum GainArgument: Sendable, Equatable {
    case number(Double)
    case nonlinearity(name: String, param: Double?)

    /// - Throws: `invalid` for an unknown activation; whatever the activation's gain throws.
    public func value() throws(InitError) -> Double {
        switch self {
        case .number(let gain):
            return gain
        case .nonlinearity(let name, let param):
            guard let nonlinearity = Nonlinearity.named(name) else {
                throw .unknown(
                    "activation",
                    name,
                    in: ["gain", "nonlinearity"],
                    known: Nonlinearity.all.map(\.name)
                )
            }
            do {
                return try nonlinearity.gain(param: param)
            } catch {
                throw error.under("gain")
            }
        }
    }
}
