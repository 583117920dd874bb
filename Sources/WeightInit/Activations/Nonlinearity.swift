public import ByteText

private import Glibc
private import TorchRandom

/// An activation and its gain: the factor of the weights before it that keeps the variance.
public struct Nonlinearity: Sendable {
    public enum Convention: String, Sendable {
        /// The value that `torch.nn.init.calculate_gain` returns.
        case torch
        /// 1 / √E[f(z)²] for standard normal z: He et al. 2015, equation 10, for any activation.
        case he
    }

    /// The parameter of an activation, such as the slope of a leaky ReLU.
    public struct Shaping: Sendable {
        public let name: Text
        public let defaultValue: Double
    }

    public let name: Text
    public let convention: Convention
    public let parameter: Shaping?
    let function: Function
    private let rule: Rule

    /// Source of the gain.
    private enum Rule: Sendable {
        /// PyTorch's own number.
        case torch(@Sendable (_ param: Double) throws(InitError) -> Double)
        /// 1 / √ of the function's second moment, for accepted values of the parameter.
        case he(accepts: @Sendable (_ param: Double) -> Bool)
    }

    /// Computes the gain.
    ///
    /// - Parameter param: The activation's parameter; `nil` for its default. As in PyTorch, it is ignored if the
    ///   activation has none.
    /// - Throws: `refused` if PyTorch raises, if the activation is not defined for `param`, or if its gain is not
    ///   finite.
    public func gain(param: Double? = nil) throws(InitError) -> Double {
        let param = param ?? parameter?.defaultValue ?? 0
        switch rule {
        case .torch(let gain):
            return try gain(param)
        case .he(let accepts):
            guard param.isFinite, accepts(param) else {
                throw .refused("param", "\(name) is not defined for \(parameter?.name ?? "param") = \(param)")
            }
            let gain = 1 / moments(param: param).value.squareRoot()
            guard gain.isFinite, gain > 0 else {
                throw .refused("param", "\(name) has no finite gain for \(parameter?.name ?? "param") = \(param)")
            }
            return gain
        }
    }

    /// Looks up a name; names are case-sensitive, as in PyTorch.
    public static func named(_ name: Text) -> Nonlinearity? {
        byName[name]
    }

    /// The activations of PyTorch's `calculate_gain`, then the activations that it refuses.
    public static let all: [Nonlinearity] = torchTable + heTable

    /// Names of the activations that `torch.nn.init.calculate_gain` takes.
    package static let torchNames: [Text] = torchTable.map(\.name)

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    private static func torch(
        _ name: Text,
        by parameter: Shaping? = nil,
        _ function: Function,
        gain: @escaping @Sendable (_ param: Double) throws(InitError) -> Double
    ) -> Nonlinearity {
        Nonlinearity(name: name, convention: .torch, parameter: parameter, function: function, rule: .torch(gain))
    }

    private static let torchTable: [Nonlinearity] =
        ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"].map {
            torch($0, .slopes { _ in (1, 1) }) { _ in 1 }
        } + [
            torch(
                "sigmoid",
                Function { z, _ in
                    logistic(z)
                } derivative: { z, _ in
                    logistic(z) * logistic(-z)
                }
            ) { _ in 1 },
            torch(
                "tanh",
                Function { z, _ in
                    tanh(z)
                } derivative: { z, _ in
                    1 - tanh(z) * tanh(z)
                }
            ) { _ in 5.0 / 3 },
            torch("relu", .slopes { _ in (0, 1) }) { _ in 2.0.squareRoot() },
            torch("leaky_relu", by: Shaping(name: "negative_slope", defaultValue: 0.01), .slopes { ($0, 1) }) {
                slope throws(InitError) in try leakyReLUGain(slope)
            },
            torch(
                "selu",
                Function { z, _ in
                    seluScale * (z > 0 ? z : seluAlpha * expm1(z))
                } derivative: { z, _ in
                    seluScale * (z > 0 ? 1 : seluAlpha * exp(z))
                }
            ) { _ in 3.0 / 4 },
        ]

    /// Klambauer et al. 2017, in float64.
    private static let seluAlpha = 1.6732632423543772
    private static let seluScale = 1.0507009873554805

    private static func leakyReLUGain(_ slope: Double) throws(InitError) -> Double {
        let square = Libm.pow(slope, 2)
        guard square.isFinite || !slope.isFinite else {
            throw .refused("param", "the square of the slope \(slope) is over the largest float64")
        }
        return (2.0 / (1 + square)).squareRoot()
    }

    private static func he(
        _ name: Text,
        by parameter: Shaping? = nil,
        accepts: @escaping @Sendable (Double) -> Bool = { _ in true },
        _ function: Function
    ) -> Nonlinearity {
        Nonlinearity(
            name: name,
            convention: .he,
            parameter: parameter,
            function: function,
            rule: .he(accepts: accepts)
        )
    }

    private static let heTable: [Nonlinearity] = [
        he(
            "celu",
            by: Shaping(name: "alpha", defaultValue: 1),
            accepts: { $0 != 0 },
            Function { z, alpha in
                max(0, z) + min(0, alpha * expm1(z / alpha))
            } derivative: { z, alpha in
                z > 0 ? 1 : exp(z / alpha)
            }
        ),
        he(
            "elu",
            by: Shaping(name: "alpha", defaultValue: 1),
            Function { z, alpha in
                z > 0 ? z : alpha * expm1(z)
            } derivative: { z, alpha in
                z > 0 ? 1 : alpha * exp(z)
            }
        ),
        he(
            "gelu",
            Function { z, _ in
                z * Gaussian.cumulative(z)
            } derivative: { z, _ in
                Gaussian.cumulative(z) + z * exp(-0.5 * z * z) / (2 * Double.pi).squareRoot()
            }
        ),
        he(
            "gelu_tanh",
            Function { z, _ in
                0.5 * z * (1 + tanh((2 / Double.pi).squareRoot() * (z + 0.044715 * z * z * z)))
            } derivative: { z, _ in
                let scale = (2 / Double.pi).squareRoot()
                let t = tanh(scale * (z + 0.044715 * z * z * z))
                return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * scale * (1 + 3 * 0.044715 * z * z)
            }
        ),
        he(
            "hardshrink",
            by: Shaping(name: "lambd", defaultValue: 0.5),
            accepts: { $0 >= 0 },
            Function(kinks: { [-$0, $0] }) { z, lambd in
                abs(z) > lambd ? z : 0
            } derivative: { z, lambd in
                abs(z) > lambd ? 1 : 0
            }
        ),
        he(
            "hardsigmoid",
            Function(kinks: { _ in [-3, 3] }) { z, _ in
                min(max(z / 6 + 0.5, 0), 1)
            } derivative: { z, _ in
                abs(z) < 3 ? 1.0 / 6 : 0
            }
        ),
        he(
            "hardswish",
            Function(kinks: { _ in [-3, 3] }) { z, _ in
                z * min(max(z / 6 + 0.5, 0), 1)
            } derivative: { z, _ in
                z < -3 ? 0 : z > 3 ? 1 : z / 3 + 0.5
            }
        ),
        he(
            "hardtanh",
            Function(kinks: { _ in [-1, 1] }) { z, _ in
                min(max(z, -1), 1)
            } derivative: { z, _ in
                abs(z) < 1 ? 1 : 0
            }
        ),
        he(
            "logsigmoid",
            Function { z, _ in
                min(z, 0) - log1p(exp(-abs(z)))
            } derivative: { z, _ in
                logistic(-z)
            }
        ),
        he(
            "mish",
            Function { z, _ in
                z * tanh(softplus(z))
            } derivative: { z, _ in
                let t = tanh(softplus(z))
                return t + z * (1 - t * t) * logistic(z)
            }
        ),
        he(
            "relu6",
            Function(kinks: { _ in [6] }) { z, _ in
                min(max(z, 0), 6)
            } derivative: { z, _ in
                z > 0 && z < 6 ? 1 : 0
            }
        ),
        he(
            "silu",
            Function { z, _ in
                z / (1 + exp(-z))
            } derivative: { z, _ in
                logistic(z) * (1 + z * logistic(-z))
            }
        ),
        he(
            "softplus",
            by: Shaping(name: "beta", defaultValue: 1),
            accepts: { $0 > 0 },
            Function { z, beta in
                softplus(beta * z) / beta
            } derivative: { z, beta in
                logistic(beta * z)
            }
        ),
        he(
            "softshrink",
            by: Shaping(name: "lambd", defaultValue: 0.5),
            accepts: { $0 >= 0 },
            Function(kinks: { [-$0, $0] }) { z, lambd in
                z > lambd ? z - lambd : z < -lambd ? z + lambd : 0
            } derivative: { z, lambd in
                abs(z) > lambd ? 1 : 0
            }
        ),
        he(
            "softsign",
            Function { z, _ in
                z / (1 + abs(z))
            } derivative: { z, _ in
                1 / ((1 + abs(z)) * (1 + abs(z)))
            }
        ),
        he(
            "tanhshrink",
            Function { z, _ in
                z - tanh(z)
            } derivative: { z, _ in
                tanh(z) * tanh(z)
            }
        ),
    ]

    private static func logistic(_ z: Double) -> Double {
        1 / (1 + exp(-z))
    }

    private static func softplus(_ z: Double) -> Double {
        max(z, 0) + log1p(exp(-abs(z)))
    }
}

/// A gain in a request: a number, or an activation that has this gain.
public enum GainArgument: Sendable, Equatable {
    case number(Double)
    case nonlinearity(name: Text, param: Double?)

    /// - Throws: `invalid` for an unknown activation, and the errors of ``Nonlinearity/gain(param:)``.
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
