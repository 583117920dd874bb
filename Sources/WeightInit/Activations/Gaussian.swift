private import Glibc

/// The standard normal distribution, in float64.
enum Gaussian {
    /// Φ(x), by the formula of PyTorch's truncated normal.
    static func cumulative(_ x: Double) -> Double {
        (1 + erf(x / 2.0.squareRoot())) / 2
    }

    /// P(z > x), without loss of digits for large x.
    static func upperTail(_ x: Double) -> Double {
        erfc(x / 2.0.squareRoot()) / 2
    }

    /// E[g(z)] by Gauss–Legendre quadrature in panels between the points at which `g` is not smooth.
    ///
    /// Accurate to about 1e-15 if `g` grows no faster than a polynomial: beyond ±12, the density is below 1e-31.
    static func expectation(kinks: [Double], of g: (Double) -> Double) -> Double {
        let reach = 12.0
        let ends = Set(kinks.filter { abs($0) < reach } + [-reach, reach, 0]).sorted()
        var sum = 0.0
        for (lower, upper) in zip(ends, ends.dropFirst()) {
            let panels = max(1, Int(((upper - lower) * 8).rounded(.up)))
            let half = (upper - lower) / Double(2 * panels)
            for panel in 0..<panels {
                let middle = lower + half * Double(2 * panel + 1)
                for (node, weight) in gaussLegendre {
                    for z in [middle - half * node, middle + half * node] {
                        sum += weight * half * g(z) * exp(-0.5 * z * z)
                    }
                }
            }
        }
        return sum / (2 * Double.pi).squareRoot()
    }

    /// Positive nodes and weights of the 8-point Gauss–Legendre rule on [−1, 1].
    private static let gaussLegendre: [(node: Double, weight: Double)] = [
        (0.183434642495649805, 0.362683783378361983),
        (0.525532409916328986, 0.313706645877887287),
        (0.796666477413626740, 0.222381034453374471),
        (0.960289856497536232, 0.101228536290376259),
    ]
}
