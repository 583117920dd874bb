internal import ByteText
import TensorFormats
import WeightInit

/// Variance of activations forward and of gradients backward through a stack of layers.
struct PropagateQuestion: Question {
    private let members: PropagateMembers

    /// Changes when the reply to the same request does.
    private static let revision: Text = "3"

    /// Cost of describing a layer, in generator words.
    private static let layerWork = 4_000.0

    /// Bytes of memory that a layer's numbers take as text.
    private static let layerMemory = 1 << 10

    init(_ members: RequestMembers) throws(InitError) {
        self.members = try PropagateMembers(members)
    }

    func answer(_ asking: Asking) throws(InitError) -> Answer? {
        try asking.preference.requireJSON()
        let members = members
        let limits = asking.context.limits
        guard asking.allowance.covers(layers: members.stack.depth) else { return nil }
        let propagation = try Propagation(members.stack, limits: limits.tensors)
        let experiment: Propagation.Experiment? =
            members.runs == 0
            ? nil
            : try propagation.experiment(
                seed: members.seed,
                runs: members.runs,
                limits: limits.tensors
            )
        if let experiment, experiment.memory > limits.maximumWorkBytes {
            throw InitError(
                over: \ServiceLimits.maximumWorkBytes,
                ["width_in"],
                "the runs would take \(experiment.memory) bytes of memory, over the limit of \(limits.maximumWorkBytes)"
            )
        }
        let alternatives = try Fan.Mode.allCases.map { mode throws(InitError) in
            (mode, try Propagation(members.stack.kaiming(mode), limits: limits.tensors))
        }
        var answer = Answer(
            .computed { isCancelled throws(InitError) in
                guard let theory = propagation.theory(isCancelled: isCancelled) else { return nil }
                var modes: [PropagationMode] = []
                for (mode, propagation) in alternatives {
                    guard let theory = propagation.theory(isCancelled: isCancelled) else { return nil }
                    modes.append(PropagationMode(mode: mode, variances: theory))
                }
                var measured: Propagation.Variances?
                if let experiment {
                    measured = try experiment.measure(isCancelled: isCancelled)
                    guard measured != nil else { return nil }
                }
                return JSONDocument(Self.document(members, propagation, theory, measured, modes))
            },
            mediaType: Answer.json,
            lifetime: .forever
        )
        let work =
            Double(propagation.layers.count) * Self.layerWork + 3 * propagation.theoryWork
            // Every weight is made on the way forward, and again on the way back.
            + 2 * Double(experiment?.weightCount ?? 0)
        answer.work = WorkEstimate(
            // A word takes about a nanosecond. Methods with a preparation take longer than their words.
            duration: .nanoseconds(Int64(min(work, 1e18)))
                + (experiment?.needsPreparation == true ? .milliseconds(10) : .zero),
            memory: (experiment?.memory ?? 0).addingClamped(Self.layerMemory * propagation.layers.count)
        )
        answer.memory = Self.layerMemory * propagation.layers.count
        answer.url = { members.canonical.url($0) }
        answer.identity = Identity(
            of: "propagate",
            members.canonical.json.encodedText,
            Release.bits,
            Self.revision
        )
        return answer
    }

    private static func document(
        _ members: PropagateMembers,
        _ propagation: Propagation,
        _ theory: Propagation.Variances,
        _ measured: Propagation.Variances?,
        _ modes: [PropagationMode]
    ) -> [JSONValue.Member] {
        let stack = propagation.stack
        var reply: [JSONValue.Member] = []
        reply.append("depth", .integer(stack.depth))
        reply.append("width_in", .integer(stack.inputWidth))
        reply.append("width_out", .integer(stack.outputWidth))
        reply.append("nonlinearity", .string(stack.nonlinearity.name))
        reply.append(
            "param",
            stack.nonlinearity.parameter.map { .double(stack.param ?? $0.defaultValue) }
        )
        reply.append("method", .string(stack.method.name))
        reply.append(
            "parameters",
            .object(
                PropagateMembers.parameters(of: stack.method).compactMap { parameter in
                    guard let value = stack.arguments[parameter.name] ?? parameter.defaultValue, value != .null else {
                        return nil
                    }
                    return JSONValue.Member(name: parameter.name, value: value.json(of: parameter.kind))
                }
            )
        )
        reply.append("seed", .number(Text(members.seed.description)))
        reply.append("runs", .integer(members.runs))
        let moments = propagation.standardMoments
        reply.append("moments", ["value": .double(moments.value), "derivative": .double(moments.derivative)])
        reply.append(
            "layers",
            .array(
                propagation.layers.enumerated().map { index, layer in
                    func variances(_ of: KeyPath<Propagation.Variances, [Double]>) -> JSONValue {
                        var members: [JSONValue.Member] = []
                        members.append("theory", .double(theory[keyPath: of][index]))
                        members.append("measured", measured.map { .double($0[keyPath: of][index]) })
                        return .object(members)
                    }
                    return [
                        "layer": .integer(index + 1),
                        "fan_in": .integer(layer.fan.fanIn),
                        "fan_out": .integer(layer.fan.fanOut),
                        "std": .double(layer.std),
                        "forward": variances(\.forward),
                        "backward": variances(\.backward),
                    ]
                }
            )
        )
        reply.append("modes", .array(modes.map(\.document)))
        let advice = PropagationMode.advice(modes, for: members.stack.kaiming(.fanIn))
        reply.append("advice", .strings(advice.map { Text($0) }))
        return reply
    }
}

extension LayerStack {
    /// The same layers initialised by kaiming with this mode. Layers that kaiming initialises already keep their other
    /// arguments, such as a gain.
    fileprivate func kaiming(_ mode: Fan.Mode) -> LayerStack {
        var stack = self
        if !method.takesNonlinearity, let kaiming = InitMethod.named("kaiming_normal") {
            stack.method = kaiming
            stack.arguments = Arguments()
        }
        stack.arguments["mode"] = .text(mode.word)
        return stack
    }
}
