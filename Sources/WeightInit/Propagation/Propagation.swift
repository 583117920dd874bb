internal import ByteText
import ByteSource
private import Glibc
private import TorchRandom

/// Fully connected layers one after the other, x ← f(W x), each with an activation after its weight.
public struct LayerStack: Sendable {
    public var depth: Int
    /// Number of elements of the first layer's input.
    public var inputWidth: Int
    /// Number of elements of the last layer's output. The widths between input and output are a geometric sequence, so
    /// that each layer's fan-out is about the same multiple of its fan-in.
    public var outputWidth: Int
    public var nonlinearity: Nonlinearity
    /// The activation's parameter; `nil` for its default.
    public var param: Double?
    /// The method that makes the weights, each of shape `[fan_out, fan_in]` in float32.
    public var method: InitMethod
    /// The method's own parameters. If the method takes an activation and no gain is given, the gain of this stack's
    /// activation is used.
    public var arguments = Arguments()

    public init(depth: Int, inputWidth: Int, outputWidth: Int, nonlinearity: Nonlinearity, method: InitMethod) {
        self.depth = depth
        self.inputWidth = inputWidth
        self.outputWidth = outputWidth
        self.nonlinearity = nonlinearity
        self.method = method
    }
}

/// The variance of activations on their way forward through a freshly initialised stack, and of gradients on their way
/// back: He et al. 2015, section 2.2, for any activation.
///
/// With inputs x₀ ~ N(0, 1) and gradients of the output ~ N(0, 1), independent in all elements, wide layers have
///
///     qₗ = fan_inₗ · Var wₗ · E[xₗ₋₁²],  E[xₗ²] = E[f(√qₗ z)²],
///     E[gₗ₋₁²] = fan_outₗ · Var wₗ · E[f′(√qₗ z)²] · E[gₗ²],
///
/// z ~ N(0, 1). For a ReLU, both expectations have the factor ½. E[x²] or E[g²] stays the same from layer to layer if
/// the weights meet the paper's equation 10 or 14.
public struct Propagation: Sendable {
    public struct Layer: Sendable {
        public let fan: Fan
        /// Standard deviation of the weights.
        public let std: Double
        fileprivate let shape: Shape
    }

    public let stack: LayerStack
    /// `depth + 1` widths, the input's first.
    public let widths: [Int]
    public let layers: [Layer]
    private let param: Double

    /// Checks a stack and finds its weights' deviations.
    ///
    /// - Throws: `invalid` for a depth or a width below 1, `tooLarge` for more layers than `limits` allow, `refused`
    ///   for activations that are not defined and for weights that are not random with mean 0.
    public init(_ stack: LayerStack, limits: Limits) throws(InitError) {
        let sizes: [(Text, Int)] = [
            ("depth", stack.depth), ("width_in", stack.inputWidth), ("width_out", stack.outputWidth),
        ]
        for (name, size) in sizes where size < 1 {
            throw .invalid(name, "must be at least 1")
        }
        guard stack.depth <= limits.maximumLayers else {
            throw InitError(
                over: \Limits.maximumLayers,
                ["depth"],
                "\(stack.depth) layers are over the limit of \(limits.maximumLayers)",
                maximum: limits.maximumLayers
            )
        }
        guard stack.method.isRandom else {
            throw .refused(
                "method",
                "\(stack.method.name) makes weights that are not random; the theory is about random weights"
            )
        }
        param = stack.param ?? stack.nonlinearity.parameter?.defaultValue ?? 0
        guard param.isFinite else {
            throw .refused("param", "must be finite, found \(param)")
        }
        let activationGain = try stack.nonlinearity.gain(param: param)

        var arguments = stack.arguments
        if stack.method.takesNonlinearity, arguments["gain"] == nil { arguments["gain"] = .number(activationGain) }
        let bound = try BoundArguments(arguments, for: stack.method.parameters, of: stack.method.name)

        widths = try Propagation.widths(stack)
        var layers: [Layer] = []
        for (input, output) in zip(widths, widths.dropFirst()) {
            if let last = layers.last, last.fan.fanIn == input, last.fan.fanOut == output {
                layers.append(last)
                continue
            }
            let shape = try Shape([output, input], parameter: "width_in")
            let resolution: InitMethod.Resolution
            do throws(InitError) {
                resolution = try stack.method.resolve(
                    InitMethod.Context(
                        arguments: bound,
                        shape: shape,
                        dtype: .float32,
                        limits: limits,
                        literalBytesLeft: 0
                    )
                )
            } catch {
                throw error.renamed(["shape": "width_in"])
            }
            layers.append(
                Layer(
                    fan: try Fan(of: shape),
                    std: try resolution.recipe.centredVariance().squareRoot(),
                    shape: shape
                )
            )
        }
        var completed = stack
        completed.arguments = arguments
        self.stack = completed
        self.layers = layers
    }

    /// - Throws: `tooLarge` for a width that needs more than 63 bits.
    private static func widths(_ stack: LayerStack) throws(InitError) -> [Int] {
        let ratio = Double(stack.outputWidth) / Double(stack.inputWidth)
        var widths = [stack.inputWidth]
        for layer in 1..<max(1, stack.depth) {
            let width = Double(stack.inputWidth) * pow(ratio, Double(layer) / Double(stack.depth))
            guard let width = Int(exactly: max(1, width.rounded())) else {
                throw .tooLarge("width_in", "is over 2^63 − 1")
            }
            widths.append(width)
        }
        return widths + [stack.outputWidth]
    }
}

extension Propagation {
    /// The moments of the activation for z ~ N(0, 1): both ½ for a ReLU.
    public var standardMoments: Nonlinearity.Moments {
        stack.nonlinearity.moments(param: param)
    }

    /// Mean squares in a stack, layer by layer.
    public struct Variances: Sendable, Equatable {
        /// E[xₗ²] of each layer's output, after its activation; 1 for the stack's input.
        public var forward: [Double]
        /// E[gₗ₋₁²] of the gradient of each layer's input; 1 for the gradient of the stack's output.
        public var backward: [Double]
    }

    /// Computes the mean squares in the limit of wide layers.
    ///
    /// - Returns: `nil` if `isCancelled` has turned true.
    public func theory(isCancelled: () -> Bool = { false }) -> Variances? {
        var forward: [Double] = []
        var slopes: [Double] = []
        var activations = 1.0
        var last: (deviation: Double, moments: Nonlinearity.Moments)?
        for layer in layers {
            if isCancelled() { return nil }
            let variance = Double(layer.fan.fanIn) * (layer.std * layer.std) * activations
            let deviation = variance.squareRoot()
            let moments =
                last?.deviation == deviation
                ? last?.moments : stack.nonlinearity.moments(deviation: deviation, param: param)
            guard let moments else { return nil }
            last = (deviation, moments)
            activations = moments.value
            forward.append(activations)
            slopes.append(moments.derivative)
        }
        var backward = forward
        var gradients = 1.0
        for index in layers.indices.reversed() {
            let layer = layers[index]
            gradients *= Double(layer.fan.fanOut) * (layer.std * layer.std) * slopes[index]
            backward[index] = gradients
        }
        return Variances(forward: forward, backward: backward)
    }

    /// Approximate work of ``theory(isCancelled:)``, in generator words.
    public var theoryWork: Double {
        stack.nonlinearity.needsQuadrature ? Double(layers.count) * 60_000 : 0
    }
}

extension Propagation {
    /// Runs through stacks with real weights, each run with its own generator.
    ///
    /// Run r's generator is seeded with seed + r and draws, by the service's own methods in float32, the input
    /// (`normal`, `[width_in]`), the weights from the first layer to the last, and the gradient of the output
    /// (`normal`, `[width_out]`). Sums are in float64 and in a fixed order.
    public struct Experiment: Sendable {
        public let propagation: Propagation
        public let seed: Seed
        public let runs: Int
        /// Number of weights in all runs.
        public let weightCount: Int
        /// `true` if weights need a ``Preparation`` before they can be read.
        public let needsPreparation: Bool
        /// Bytes of memory that the experiment takes.
        public let memory: Int
        private let requests: [TensorRequest]
        private let limits: Limits
    }

    /// - Throws: `invalid` for fewer than 1 run, `tooLarge` for more weights than `limits` allow.
    public func experiment(
        seed: Seed,
        runs: Int,
        limits: Limits
    ) throws(InitError) -> Experiment {
        try Experiment(self, seed: seed, runs: runs, limits: limits)
    }
}

extension Propagation.Experiment {
    fileprivate init(
        _ propagation: Propagation,
        seed: Seed,
        runs: Int,
        limits: Limits
    ) throws(InitError) {
        guard runs >= 1 else { throw .invalid("runs", "must be at least 1") }
        var count = 0
        for layer in propagation.layers {
            let (sum, overflow) = count.addingReportingOverflow(layer.shape.elementCount)
            count = overflow ? .max : sum
        }
        let (total, overflow) = count.multipliedReportingOverflow(by: runs)
        guard !overflow, total <= limits.maximumPropagatedWeights else {
            throw InitError(
                over: \Limits.maximumPropagatedWeights,
                ["runs"],
                "\(runs) runs through \(count == .max ? "2^63 or more" : "\(count)") weights are over the limit of "
                    + "\(limits.maximumPropagatedWeights) weights",
                maximum: limits.maximumPropagatedWeights / count
            )
        }
        let ends = (try Shape([propagation.widths[0]]), try Shape([propagation.stack.outputWidth]))
        var requests = [TensorRequest(method: .normal, shape: ends.0)]
        for layer in propagation.layers {
            requests.append(
                TensorRequest(
                    method: propagation.stack.method,
                    shape: layer.shape,
                    arguments: propagation.stack.arguments
                )
            )
        }
        requests.append(TensorRequest(method: .normal, shape: ends.1))
        self.propagation = propagation
        self.seed = seed
        self.runs = runs
        self.requests = requests
        self.limits = limits
        weightCount = total
        let plan = try Propagation.Experiment.plan(requests, seed: seed.effective, limits)
        needsPreparation = plan.preparationCost != nil
        // Responses of all layers, a few vectors, and what the weights themselves need.
        let elements = propagation.widths.reduce(4 * Double(propagation.widths.max() ?? 0)) { $0 + Double($1) }
        let bytes = 8 * elements + Double(WeightReader.bufferBytes) + Double(plan.preparationCost?.memory ?? 0)
        memory = Int(min(bytes, 0x1p62))
    }

    private static func plan(
        _ requests: [TensorRequest],
        seed: UInt32,
        _ limits: Limits
    ) throws(InitError) -> Plan {
        do {
            return try Plan(requests, seed: Seed(UInt64(seed)), limits: limits)
        } catch {
            // The client gave widths and no list of tensors, so the path must not name a tensor's shape.
            var error = error
            error.path = Array(error.path.dropFirst())
            throw error.renamed(["shape": "width_in"])
        }
    }

    /// Measures the mean squares over all runs and elements.
    ///
    /// - Returns: `nil` if `isCancelled` has turned true.
    public func measure(isCancelled: () -> Bool = { false }) throws(InitError) -> Propagation.Variances? {
        var sum = Propagation.Variances(
            forward: [Double](repeating: 0, count: propagation.layers.count),
            backward: [Double](repeating: 0, count: propagation.layers.count)
        )
        for run in 0..<runs {
            let plan = try Propagation.Experiment.plan(
                requests,
                seed: seed.effective &+ UInt32(truncatingIfNeeded: run),
                limits
            )
            guard let draws = try plan.prepare(isCancelled: isCancelled),
                let variances = propagation.run(plan.prepared(draws), isCancelled: isCancelled)
            else { return nil }
            for layer in propagation.layers.indices {
                sum.forward[layer] += variances.forward[layer] / Double(runs)
                sum.backward[layer] += variances.backward[layer] / Double(runs)
            }
        }
        return sum
    }
}

extension Propagation {
    /// Does one run with the tensors of an ``Experiment``.
    fileprivate func run(_ plan: PreparedPlan, isCancelled: () -> Bool) -> Variances? {
        var variances = Variances(forward: [], backward: [])
        var reader = WeightReader()
        guard var activations = reader.vector(plan.makeSource(0), isCancelled) else { return nil }
        var responses: [[Double]] = []
        for (index, layer) in layers.enumerated() {
            var response = [Double](repeating: 0, count: layer.fan.fanOut)
            let weights = plan.makeSource(index + 1)
            let isWhole = reader.forEachPartOfRow(weights, layer.fan.fanIn, isCancelled) { row, columns, weights in
                response[row] += dot(weights, activations, from: columns.lowerBound)
            }
            guard isWhole else { return nil }
            activations = response.map { stack.nonlinearity.function.value($0, param) }
            variances.forward.append(activations.meanSquare)
            responses.append(response)
        }
        guard var gradients = reader.vector(plan.makeSource(layers.count + 1), isCancelled) else { return nil }
        variances.backward = variances.forward
        for (index, layer) in layers.enumerated().reversed() {
            for row in gradients.indices {
                gradients[row] *= stack.nonlinearity.function.derivative(responses[index][row], param)
            }
            var before = [Double](repeating: 0, count: layer.fan.fanIn)
            let weights = plan.makeSource(index + 1)
            let isWhole = reader.forEachPartOfRow(weights, layer.fan.fanIn, isCancelled) { row, columns, weights in
                add(weights, times: gradients[row], to: &before, from: columns.lowerBound)
            }
            guard isWhole else { return nil }
            gradients = before
            variances.backward[index] = gradients.meanSquare
        }
        return variances
    }
}

/// Σ weights[i] · vector[start + i], in four partial sums.
private func dot(_ weights: Span<Float>, _ vector: [Double], from start: Int) -> Double {
    var sums = (0.0, 0.0, 0.0, 0.0)
    var index = 0
    while index + 4 <= weights.count {
        sums.0 += Double(weights[index]) * vector[start + index]
        sums.1 += Double(weights[index + 1]) * vector[start + index + 1]
        sums.2 += Double(weights[index + 2]) * vector[start + index + 2]
        sums.3 += Double(weights[index + 3]) * vector[start + index + 3]
        index += 4
    }
    while index < weights.count {
        sums.0 += Double(weights[index]) * vector[start + index]
        index += 1
    }
    return (sums.0 + sums.1) + (sums.2 + sums.3)
}

private func add(_ weights: Span<Float>, times factor: Double, to vector: inout [Double], from start: Int) {
    for index in weights.indices {
        vector[start + index] += Double(weights[index]) * factor
    }
}

extension [Double] {
    fileprivate var meanSquare: Double {
        reduce(0) { $0 + $1 * $1 } / Double(count)
    }
}

/// Reads float32 tensors that need not fit into memory.
private struct WeightReader {
    static let bufferBytes = 256 << 10
    private var buffer = [Float](repeating: 0, count: bufferBytes / 4)

    /// Calls `body` with the parts of a matrix's rows, in order.
    ///
    /// - Returns: `false` if cancelled.
    mutating func forEachPartOfRow(
        _ source: any ByteSource,
        _ columns: Int,
        _ isCancelled: () -> Bool,
        _ body: (_ row: Int, _ columns: Range<Int>, _ weights: Span<Float>) -> Void
    ) -> Bool {
        let total = source.byteCount / 4
        var taken = 0
        while taken < total {
            let count = min(buffer.count, total - taken)
            guard fill(source, from: taken, count: count, isCancelled) else { return false }
            var index = 0
            while index < count {
                let (row, column) = (taken + index).quotientAndRemainder(dividingBy: columns)
                let length = min(columns - column, count - index)
                body(row, column..<column + length, buffer.span.extracting(index..<index + length))
                index += length
            }
            taken += count
        }
        return true
    }

    /// Reads a whole tensor; `nil` if cancelled.
    mutating func vector(_ source: any ByteSource, _ isCancelled: () -> Bool) -> [Double]? {
        var vector: [Double] = []
        vector.reserveCapacity(source.byteCount / 4)
        let isWhole = forEachPartOfRow(source, max(1, source.byteCount / 4), isCancelled) { _, _, elements in
            for index in elements.indices { vector.append(Double(elements[index])) }
        }
        return isWhole ? vector : nil
    }

    /// Reads elements to the front of the buffer, in as many reads as that takes: a single read may return no bytes.
    ///
    /// - Returns: `false` if cancelled.
    private mutating func fill(
        _ source: any ByteSource,
        from first: Int,
        count: Int,
        _ isCancelled: () -> Bool
    ) -> Bool {
        var filled = 0
        while filled < count * 4 {
            if isCancelled() { return false }
            var elements = buffer.mutableSpan
            var bytes = elements.mutableBytes
            var room = bytes._mutatingExtracting(filled..<count * 4)
            filled += source.read(at: first * 4 + filled, into: &room)
        }
        return true
    }
}

extension InitMethod {
    /// `true` if the method has an activation as a parameter and scales by its gain.
    public var takesNonlinearity: Bool {
        parameters.contains { $0.name == "nonlinearity" }
    }
}

extension Recipe {
    /// The variance of an element whose mean is 0.
    ///
    /// - Throws: `refused` if the mean is not 0, or if nothing is random.
    fileprivate func centredVariance() throws(InitError) -> Double {
        switch self {
        case .uniform(let lower, let upper):
            guard lower == -upper else { throw .refused("a", "must be −b: the theory is about weights with mean 0") }
            return upper * upper / 3
        case .normal(let mean, let std):
            guard mean == 0 else { throw .refused("mean", "must be 0: the theory is about weights with mean 0") }
            return std * std
        case .truncatedNormal(let truncated):
            guard truncated.mean == 0, truncated.lower == -truncated.upper else {
                throw .refused("mean", "must be 0, and a must be −b: the theory is about weights with mean 0")
            }
            return truncated.centredVariance
        case .sparse(let pattern, let std):
            return std * std * (1 - Double(pattern.zerosPerColumn) / Double(max(1, pattern.rows)))
        case .orthogonal(let rows, let columns, let gain):
            return gain * gain / Double(max(rows, columns))
        case .constant, .range, .literal, .eye, .dirac:
            throw .refused("method", "the theory is about random weights")
        }
    }
}

extension TruncatedNormal {
    /// The variance for mean 0 and bounds ±`upper`.
    fileprivate var centredVariance: Double {
        let bound = abs(upper / std)
        // Far bounds cut off nothing; between near ones, the density is constant.
        if bound > 40 { return std * std }
        if bound < 1e-3 { return upper * upper / 3 }
        let density = exp(-0.5 * bound * bound) / (2 * Double.pi).squareRoot()
        return std * std * (1 - 2 * bound * density / (2 * Gaussian.cumulative(bound) - 1))
    }
}
