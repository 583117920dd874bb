internal import ByteText
private import Glibc
import WeightInit

/// Variances in a stack whose weights are scaled by one of the two fans.
struct PropagationMode {
    let mode: Fan.Mode
    let variances: Propagation.Variances

    /// The last layer's activations, as a multiple of the input's.
    var forward: Double { variances.forward.last ?? 1 }
    /// The gradients of the input, as a multiple of the output's.
    var backward: Double { variances.backward.first ?? 1 }

    /// The largest distance of a layer's variance from 1, as a logarithm.
    private var deviation: Double {
        (variances.forward + variances.backward).reduce(0) { worst, variance in
            let deviation = abs(log(variance))
            return deviation.isNaN ? .infinity : max(worst, deviation)
        }
    }

    var document: JSONValue {
        ["mode": .string(mode.word), "forward": .double(forward), "backward": .double(backward)]
    }

    /// Two sentences that recommend a mode and give the reason.
    ///
    /// - Parameters:
    ///   - modes: Both modes.
    ///   - stack: The stack of both, with the gain that the request gives to kaiming, if any.
    static func advice(_ modes: [PropagationMode], for stack: LayerStack) -> [String] {
        guard let fanIn = modes.first(where: { $0.mode == .fanIn }),
            let fanOut = modes.first(where: { $0.mode == .fanOut })
        else { return [] }
        let layers = stack.depth == 1 ? "1 layer" : "\(stack.depth) layers"
        // With either mode, activations or gradients end off by the ratio of the widths. A further factor of 2 is
        // tolerated.
        let widthRatio = abs(log(Double(stack.outputWidth) / Double(stack.inputWidth)))
        let isMended = min(fanIn.deviation, fanOut.deviation) < widthRatio + log(2)
        let method = "With \(stack.method.name)\(stack.givenGain.map { " and \($0)" } ?? "")"
        let choice = "\(method), choose"
        let blame =
            "drifts layer by layer, with \(stack.nonlinearity.name) and \(stack.givenGain ?? "its gain"), and neither "
            + "mode corrects it"
        let remedy = stack.remedy.map { "; \($0)" } ?? ""

        if stack.inputWidth == stack.outputWidth {
            let outcome = "activations end at \(fanIn.forward.factor) and gradients at \(fanIn.backward.factor)"
            return [
                "\(choice) fan_in, the default: every layer has as many outputs as inputs, so that fan_out is the same number and "
                    + "equations 10 and 14 of He et al. 2015 ask for the same weights.",
                isMended
                    ? "After \(layers), \(outcome)."
                    : "The variance \(blame): after \(layers), \(outcome)\(remedy).",
            ]
        }
        let isTie = abs(fanIn.deviation - fanOut.deviation) < 1e-6 * fanIn.deviation
        let (best, other) = isTie || !(fanOut.deviation < fanIn.deviation) ? (fanIn, fanOut) : (fanOut, fanIn)
        guard isMended else {
            let verdict =
                isTie
                ? "\(method), fan_in, the default, strays as far as fan_out"
                : "\(choice) \(best.mode.rawValue), which strays less"
            return [
                "\(verdict): after \(layers) it leaves the activations at \(best.forward.factor) and the "
                    + "gradients at \(best.backward.factor).",
                "\(other.mode.rawValue) would leave them at \(other.forward.factor) and \(other.backward.factor); the variance "
                    + "\(blame)\(remedy).",
            ]
        }
        let (held, left) = best.outcomes
        let (otherHeld, otherLeft) = other.outcomes
        let verdict =
            isTie
            ? "\(method), either mode will do, and fan_in, the default, is fine"
            : "\(choice) \(best.mode.rawValue)"
        return [
            "\(verdict): after \(layers) it leaves \(held), which is what equation \(best.equation) of He et al. 2015 is for, "
                + "and \(left).",
            "\(other.mode.rawValue), by equation \(other.equation), would leave \(otherHeld) and \(otherLeft), which is "
                + (isTie
                    ? "as far off: the factor is the ratio of the widths at the two ends, however deep the stack."
                    : "further off."),
        ]
    }

    private var equation: Int { mode == .fanIn ? 10 : 14 }

    /// The variance that the mode keeps, and the other one.
    private var outcomes: (held: String, left: String) {
        let (activations, gradients) = ("the activations at \(forward.factor)", "the gradients at \(backward.factor)")
        return mode == .fanIn ? (activations, gradients) : (gradients, activations)
    }
}

extension LayerStack {
    /// The gain that the request gives, in words: `gain 2`, `the gain of leaky_relu:0.2`.
    fileprivate var givenGain: String? {
        switch arguments["gain"] {
        case .number(let gain), .gain(.number(let gain)): "gain \(gain.withoutPoint)"
        case .gain(.nonlinearity(let name, let param)):
            "the gain of \(name)\(param.map { ":\($0.withoutPoint)" } ?? "")"
        default: nil
        }
    }

    /// The gain to take in place of the given one.
    fileprivate var remedy: String? {
        guard givenGain != nil, let gain = try? nonlinearity.gain(param: param) else { return nil }
        return "if no gain is given, kaiming takes that of \(nonlinearity.name), \(gain.threeDigits)"
    }
}

extension Double {
    /// `×0.25`.
    fileprivate var factor: String { "×\(threeDigits)" }

    fileprivate var threeDigits: String {
        guard isFinite, self > 0 else { return self == 0 ? "0" : shortestText }
        var exponent = Int(floor(log10(self)))
        var mantissa = (self / pow(10, Double(exponent)) * 100).rounded() / 100
        if mantissa >= 10 { (mantissa, exponent) = (1, exponent + 1) }
        guard (-4...5).contains(exponent) else { return "\(mantissa.withoutPoint)e\(exponent)" }
        // Only powers of ten with an exponent of 0 or more are exact.
        let scale = pow(10, Double(abs(2 - exponent)))
        let rounded = exponent > 2 ? (self / scale).rounded() * scale : (self * scale).rounded() / scale
        return rounded.withoutPoint
    }

    fileprivate var withoutPoint: String {
        let text = shortestText
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
