internal import ByteText
internal import TorchRandom

extension Recipe {
    /// Checks the bounds as `uniform_` does.
    ///
    /// - Parameters:
    ///   - parameters: The client's names for the two bounds.
    static func checkUniform(
        from: Double,
        to: Double,
        format: FloatFormat,
        parameters: (from: Text, to: Text) = ("a", "b")
    ) throws(InitError) {
        let largest = format.largestFinite
        guard (-largest...largest).contains(from) else {
            throw .refused(parameters.from, "the lower bound \(from) is not a finite \(format.rawValue)")
        }
        guard (-largest...largest).contains(to) else {
            throw .refused(parameters.to, "the upper bound \(to) is not a finite \(format.rawValue)")
        }
        guard from <= to else {
            throw .refused(parameters.from, "the lower bound \(from) is above the upper bound \(to)")
        }
        guard to - from <= largest else {
            throw .refused(
                parameters.to,
                "the range from \(from) to \(to) is wider than the largest \(format.rawValue)"
            )
        }
    }

    /// Checks the standard deviation as `normal_` does.
    static func checkNormal(std: Double, parameter: Text = "std") throws(InitError) {
        guard std >= 0 else {
            throw .refused(parameter, "the standard deviation must be at least 0, not \(std)")
        }
    }

    /// Checks a value as `constant_` does, which refuses a finite number that the format rounds to infinity.
    static func checkConstant(
        _ value: Double,
        count: Int,
        format: FloatFormat,
        parameter: Text = "value"
    ) throws(InitError) {
        // PyTorch does not check a single element of the 16-bit types.
        let isChecked = count != 1 || format == .float32
        guard !isChecked || !value.isFinite || abs(value) <= format.largestFinite else {
            throw .refused(parameter, "\(value) is over the largest \(format.rawValue)")
        }
    }

    /// Checks that the ends of a range fit into the type.
    static func checkRange(start: Scalar, step: Scalar, count: Int, _ dtype: DType) throws(InitError) {
        guard dtype.floatFormat == nil else { return }
        guard dtype != .bool else { throw .refused("dtype", "arange does not make bool") }
        guard let first = start.exactInteger else {
            throw .refused("start", "\(start) is not a value of \(dtype.rawValue)")
        }
        guard let difference = step.exactInteger else {
            throw .refused("step", "\(step) is not a value of \(dtype.rawValue)")
        }
        _ = try Scalar.integer(first).bits(dtype, parameter: "start")
        let (reach, overflow) = max(0, count - 1).multipliedReportingOverflow(by: difference)
        let (last, sumOverflow) = first.addingReportingOverflow(reach)
        guard !overflow, !sumOverflow else {
            throw .refused("step", "the last of \(count) elements is over 2^63 − 1")
        }
        _ = try Scalar.integer(last).bits(dtype, parameter: "step")
    }
}
