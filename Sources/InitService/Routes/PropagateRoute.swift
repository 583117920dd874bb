import TensorFormats
import WeightInit

/// Variance of activations forward and of gradients backward through a stack of layers.
enum PropagateRoute {
    /// Changes when the reply to the same request does.
    private static let revision = "1"

    /// What it takes to write a layer down, in generator words.
    private static let layerWork = 4_000.0

    /// Generator words that may be worked through without leaving the thread that asks.
    private static let shortWork = Double(1 << 20)

    @Sendable static func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        try exchange.requireJSONAcceptable()
        let members = try PropagateMembers(exchange.members)
        let limits = service.limits
        let propagation = try Propagation(members.stack, limits: limits.tensors)
        let experiment: Propagation.Experiment? =
            members.runs == 0
            ? nil
            : try propagation.experiment(
                seed: members.seed,
                runs: members.runs,
                weightLimit: limits.maximumPropagatedWeights,
                limits: limits.tensors
            )
        if let experiment, experiment.memory > limits.maximumWorkBytes {
            throw InitError.tooLarge(
                "width_in",
                "the runs would take \(experiment.memory) bytes of memory, over the limit of "
                    + "\(limits.maximumWorkBytes) (--max-work-bytes)"
            )
        }
        let alternatives = try Fan.Mode.allCases.map { mode in
            (mode, try Propagation(members.stack.kaiming(mode), limits: limits.tensors))
        }
        var reply = Representation(
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
                return document(members, propagation, theory, measured, modes).encoded
            },
            mediaType: "application/json",
            caching: .forever
        )
        let work =
            Double(propagation.layers.count) * layerWork + 3 * propagation.theoryWork
            // Every weight is made on the way forward, and again on the way back.
            + 2 * Double(experiment?.weightCount ?? 0)
        if work > shortWork || experiment?.needsPreparation == true {
            reply.workMemory = (experiment?.memory ?? 0) + 256 * propagation.layers.count
        }
        reply.location = exchange.location { members.canonical.url($0) }
        reply.entityTag = EntityTag(
            of: "propagate",
            members.canonical.json.encodedText,
            InitService.profile,
            revision,
            members.stack.method.name == "orthogonal" ? try LinearAlgebra.coreName : ""
        )
        return reply
    }

    private static func document(
        _ members: PropagateMembers,
        _ propagation: Propagation,
        _ theory: Propagation.Variances,
        _ measured: Propagation.Variances?,
        _ modes: [PropagationMode]
    ) -> JSONValue {
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
        reply.append("seed", .number(members.seed.description))
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
        reply.append("advice", .strings(PropagationMode.advice(modes, for: stack)))
        return .object(reply)
    }
}

extension LayerStack {
    /// The same layers initialised by kaiming with this mode, and with the gain given if that is what they are
    /// initialised by.
    fileprivate func kaiming(_ mode: Fan.Mode) -> LayerStack {
        var stack = self
        if !method.takesNonlinearity, let kaiming = InitMethod.named("kaiming_normal") {
            stack.method = kaiming
            stack.arguments = Arguments()
        }
        stack.arguments["mode"] = .text(mode.rawValue)
        return stack
    }
}
