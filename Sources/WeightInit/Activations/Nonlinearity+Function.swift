extension Nonlinearity {
    /// An activation as a function of a number and of the activation's parameter.
    struct Function: Sendable {
        /// Points at which the function is not smooth, apart from 0.
        fileprivate let kinks: @Sendable (_ param: Double) -> [Double]
        let value: @Sendable (_ z: Double, _ param: Double) -> Double
        /// The factor of backpropagation: the slope; at a kink, the slope on one of its sides. A jump adds nothing.
        let derivative: @Sendable (_ z: Double, _ param: Double) -> Double
        /// Slopes of the two straight lines that meet in 0; `nil` for other functions.
        fileprivate var slopes: (@Sendable (_ param: Double) -> (below: Double, above: Double))?

        init(
            kinks: @escaping @Sendable (_ param: Double) -> [Double] = { _ in [] },
            value: @escaping @Sendable (_ z: Double, _ param: Double) -> Double,
            derivative: @escaping @Sendable (_ z: Double, _ param: Double) -> Double
        ) {
            self.kinks = kinks
            self.value = value
            self.derivative = derivative
        }

        static func slopes(
            _ slopes: @escaping @Sendable (_ param: Double) -> (below: Double, above: Double)
        ) -> Function {
            var function = Function { z, param in
                z * (z > 0 ? slopes(param).above : slopes(param).below)
            } derivative: { z, param in
                z > 0 ? slopes(param).above : slopes(param).below
            }
            function.slopes = slopes
            return function
        }
    }

    /// The factors by which an activation changes mean squares, forward and backward.
    public struct Moments: Sendable, Equatable {
        /// E[f(z)²]
        public var value: Double
        /// E[f′(z)²]
        public var derivative: Double
    }

    /// The second moments of the activation and its derivative, for z ~ N(0, `deviation`²).
    ///
    /// In closed form if the function is two straight lines, as for ReLU (½ and ½ at a deviation of 1). Otherwise by
    /// quadrature; NaN if the deviation is not finite.
    func moments(deviation: Double = 1, param: Double) -> Moments {
        if let (below, above) = function.slopes?(param) {
            let square = (below * below + above * above) / 2
            return Moments(value: square * deviation * deviation, derivative: square)
        }
        guard deviation.isFinite else { return Moments(value: .nan, derivative: .nan) }
        guard deviation > 0 else {
            let (value, slope) = (function.value(0, param), function.derivative(0, param))
            return Moments(value: value * value, derivative: slope * slope)
        }
        var ends = function.kinks(param)
        if deviation > 1 {
            // Activations bend within a few units of 0, a small part of a wide distribution, so panels are finer there.
            ends += [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64].flatMap { [$0, -$0] }
        }
        let kinks = ends.map { $0 / deviation }
        func secondMoment(_ function: (Double, Double) -> Double) -> Double {
            Gaussian.expectation(kinks: kinks) { z in
                let f = function(deviation * z, param)
                return f * f
            }
        }
        return Moments(value: secondMoment(function.value), derivative: secondMoment(function.derivative))
    }

    /// `true` if ``moments(deviation:param:)`` takes thousands of evaluations.
    var needsQuadrature: Bool { function.slopes == nil }
}
