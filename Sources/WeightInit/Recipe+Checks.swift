internal import TorchRandom

extension Recipe {
    /// What `uniform_` refuses.
    ///
    /// - Parameters:
    ///   - parameters: What the client calls the two ends.
    static func checkUniform(
        from: Double,
        to: Double,
        format: FloatFormat,
        parameters: (from: String, to: String) = ("a", "b")
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

    /// What `normal_` refuses.
    static func checkNormal(std: Double, parameter: String = "std") throws(InitError) {
        guard std >= 0 else {
            throw .refused(parameter, "the standard deviation \(std) is not 0 or more")
        }
    }

    /// What `constant_` refuses: a finite number that the format rounds to infinity.
    static func checkConstant(
        _ value: Double,
        count: Int,
        format: FloatFormat,
        parameter: String = "value"
    ) throws(InitError) {
        // PyTorch does not check a single element of the 16-bit types.
        let isChecked = count != 1 || format == .float32
        guard !isChecked || !value.isFinite || abs(value) <= format.largestFinite else {
            throw .refused(parameter, "\(value) is over the largest \(format.rawValue)")
        }
    }
}
