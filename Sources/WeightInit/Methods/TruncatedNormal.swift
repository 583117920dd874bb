internal import ByteText
private import Glibc
internal import TorchRandom

/// A normal distribution between bounds, drawn as `trunc_normal_` draws it.
///
/// If more than 30 % of the normal distribution lies between the bounds, whole tensors of normals are drawn until each
/// element has been inside once. Otherwise, uniform proposals are accepted in proportion to the density, again whole
/// tensors at a time. In both cases, the number of rounds depends on the values.
struct TruncatedNormal: Sendable, Equatable {
    enum Path: Sendable, Equatable {
        case rejection
        /// `logPeak` is the logarithm of the largest density between the bounds, up to a constant.
        case proposal(logPeak: Double)
    }

    let mean: Double
    let std: Double
    let lower: Double
    let upper: Double
    let path: Path
    /// More rounds than can happen in practice; bounds the number of words.
    let largestRoundCount: UInt64
    /// The share of single draws that are accepted; 1 if nothing is drawn.
    private(set) var acceptance = 1.0

    /// - Throws: `refused` as PyTorch does, and if the expected number of rounds exceeds `limits.maximumRounds`.
    init(
        mean: Double,
        std: Double,
        lower: Double,
        upper: Double,
        count: Int,
        format: FloatFormat,
        limits: Limits
    ) throws(InitError) {
        guard std != 0 else { throw .refused("std", "cannot be 0 for a truncated normal") }
        self.mean = mean
        self.std = std
        self.lower = lower
        self.upper = upper
        largestRoundCount = UInt64(limits.maximumRounds) * 4 + 64
        let kept = Gaussian.cumulative((upper - mean) / std) - Gaussian.cumulative((lower - mean) / std)
        if kept > 0.3 {
            try Recipe.checkNormal(std: std)
            path = .rejection
        } else {
            try Recipe.checkUniform(from: lower, to: upper, format: format)
            let mode = TruncatedNormal.pythonMax(lower, TruncatedNormal.pythonMin(mean, upper))
            let distance = (mode - mean) / std
            let square = Libm.pow(distance, 2)
            guard square.isFinite || !distance.isFinite else {
                throw .refused("mean", "is so far from the bounds that the density overflows")
            }
            path = .proposal(logPeak: -0.5 * square)
        }
        guard count > 0 else { return }
        acceptance = acceptance(count: count, format: format)
        guard !TruncatedNormal.expectedRounds(acceptance: acceptance, count: count, exceeds: limits.maximumRounds)
        else {
            throw InitError(
                over: \Limits.maximumRounds,
                ["b"],
                "the bounds accept a share of \(acceptance) of the draws in \(format.rawValue), so that more than "
                    + "\(limits.maximumRounds) rounds are to be expected for \(count) elements",
                kind: .refused
            )
        }
    }

    /// `true` if PyTorch would warn: the mean is more than two standard deviations outside of the bounds.
    var meanIsFarOutside: Bool {
        mean < lower - 2 * std || mean > upper + 2 * std
    }

    /// Python's `min` and `max`, which return the first of two values that do not compare. This decides about NaN.
    private static func pythonMin(_ a: Double, _ b: Double) -> Double { b < a ? b : a }
    private static func pythonMax(_ a: Double, _ b: Double) -> Double { b > a ? b : a }
}

extension TruncatedNormal {
    /// The share of single draws that are accepted, in the arithmetic of the format.
    func acceptance(count: Int, format: FloatFormat) -> Double {
        switch path {
        case .rejection:
            rejectionAcceptance(isSmall: count < NormalLayout.blockSize, format: format)
        case .proposal(let logPeak):
            proposalAcceptance(LogDensity(mean: mean, std: std, logPeak: logPeak, format: format))
        }
    }

    /// The accepted draws are an interval of standard normals, because scaling and rounding keep their order. Its ends
    /// are found by bisection over the numbers that can be drawn, and widened by half a step.
    private func rejectionAcceptance(isSmall: Bool, format: FloatFormat) -> Double {
        let low = format.rounded(lower)
        let high = format.rounded(upper)
        let inDouble = isSmall || format == .float64
        let (floatMean, floatStd) = (Float(mean), Float(std))
        let value: (Double) -> Double = { z in
            format.rounded(
                inDouble ? mean.addingProduct(z, std) : Double(floatMean.addingProduct(Float(z), floatStd))
            )
        }
        // The largest radii of 24 and 53 bits.
        let reach = (-2 * log(inDouble ? 0x1p-53 : 0x1p-24)).squareRoot()
        let grid = DrawGrid(inDouble: inDouble, reach: reach)
        let first = grid.first { !(value($0) < low) }
        let afterLast = grid.first { value($0) > high }
        guard first < afterLast else { return 0 }
        let from = first == grid.start ? -Double.infinity : (grid.value(first - 1) + grid.value(first)) / 2
        let to =
            afterLast == grid.end ? Double.infinity : (grid.value(afterLast - 1) + grid.value(afterLast)) / 2
        // Computed from the smaller tail, so that no digits are lost.
        return from > 0
            ? Gaussian.upperTail(from) - Gaussian.upperTail(to) : Gaussian.upperTail(-to) - Gaussian.upperTail(-from)
    }

    /// The probability to accept a proposal, averaged over the interval between the bounds.
    private func proposalAcceptance(_ density: LogDensity) -> Double {
        // Fine enough for each share that is within the limit on rounds: a density narrower than a step is over the
        // limit.
        let steps = 1 << 14
        let smallestUniform = density.format == .float64 ? 0x1p-53 : 0x1p-24
        var sum = 0.0
        for step in 0..<steps {
            let x = lower + (Double(step) + 0.5) / Double(steps) * (upper - lower)
            let logDensity = density(density.format.rounded(x))
            // NaN is accepted, because no comparison with it is true.
            sum += logDensity.isNaN || logDensity >= 0 ? 1 : max(exp(logDensity), smallestUniform)
        }
        return sum / Double(steps)
    }

    /// Returns `true` if the expected number of rounds after the first draw, until each of `count` elements has been
    /// accepted, is more than `limit`.
    static func expectedRounds(acceptance: Double, count: Int, exceeds limit: Int) -> Bool {
        let rejected = 1 - acceptance
        var expected = 0.0
        var rejectedSoFar = 1.0
        // E[max] = Σ P(max ≥ k); each term is at most 1, and the sum ends once the terms vanish.
        while expected <= Double(limit) {
            rejectedSoFar *= rejected
            let term = -expm1(Double(count) * log1p(-rejectedSoFar))
            if term < 1e-9 { return false }
            expected += term
        }
        return true
    }
}

/// The numbers that a normal draw can give before scaling, in order: all floats, or all doubles, within a reach.
private struct DrawGrid {
    let inDouble: Bool
    let start: Int64
    let end: Int64

    init(inDouble: Bool, reach: Double) {
        self.inDouble = inDouble
        let last = inDouble ? Int64(bitPattern: reach.bitPattern) : Int64(Float(reach).bitPattern)
        start = -last
        end = last + 1
    }

    /// The number at an index: the float whose bits are the index, negative for a negative index.
    func value(_ index: Int64) -> Double {
        let magnitude =
            inDouble
            ? Double(bitPattern: UInt64(abs(index))) : Double(Float(bitPattern: UInt32(truncatingIfNeeded: abs(index))))
        return index < 0 ? -magnitude : magnitude
    }

    /// The first index at which a condition holds, by bisection: once true, it must stay true. `end` if it never holds.
    func first(where condition: (Double) -> Bool) -> Int64 {
        var (low, high) = (start, end)
        while low < high {
            // The distance between the ends overflows; their halves do not.
            let middle = (low >> 1) + (high >> 1) + (low & high & 1)
            if condition(value(middle)) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// The logarithm of the density of a proposal relative to its peak, in the arithmetic of a format: each step is
/// rounded.
struct LogDensity: Sendable {
    let format: FloatFormat
    private let mean: Double
    private let std: Double
    private let logPeak: Double

    init(mean: Double, std: Double, logPeak: Double, format: FloatFormat) {
        self.format = format
        // PyTorch rounds the subtrahends to the format, but the divisor only to the type of the computation.
        self.mean = format.rounded(mean)
        self.std = format == .float64 ? std : Double(Float(std))
        self.logPeak = format.rounded(logPeak)
    }

    func callAsFunction(_ x: Double) -> Double {
        if format == .float64 {
            let c = (x - mean) / std
            return c * c * -0.5 - logPeak
        }
        let c = step(step(Float(x) - Float(mean)) / Float(std))
        return Double(step(step(step(c * c) * -0.5) - Float(logPeak)))
    }

    private func step(_ value: Float) -> Float {
        format == .float32 ? value : Float(format.rounded(Double(value)))
    }

    /// The logarithm of a uniform in [0, 1) that a proposal is compared with.
    func logarithm(_ uniform: Double) -> Double {
        format.rounded(log(uniform))
    }
}
