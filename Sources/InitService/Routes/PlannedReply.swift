import ByteSource
import HTTPExchange
import HTTPTypes
import TensorFormats
import WeightInit

/// Planned tensors, ready to be written in any format.
struct PlannedReply: Sendable {
    /// Changes when the bytes of a format do, so that no cache mixes old and new.
    static let encoderRevision = "1"

    /// A reply up to this size states its length.
    private static let assembledBytes = 64 << 10

    private let members: InitMembers
    private let plan: Plan
    private let limits: ServiceLimits
    private let preparation: PlanPreparation
    private let descriptions: [TensorDescription]
    private let metrics: ServiceMetrics

    init(_ members: InitMembers, _ plan: Plan, _ service: InitService) throws(InitError) {
        self.members = members
        self.plan = plan
        limits = service.limits
        metrics = service.metrics
        preparation = try PlanPreparation(plan, of: members, service)
        var descriptions: [TensorDescription] = []
        do throws(FormatError) {
            for tensor in plan.tensors {
                // A tensor that stands alone has no name, but a file of names needs one.
                let name = tensor.name.isEmpty ? "tensor" : tensor.name
                descriptions.append(try TensorDescription(name: name, shape: tensor.shape, dtype: tensor.dtype))
            }
        } catch {
            throw InitError(error)
        }
        self.descriptions = descriptions
    }

    func representation(in format: TensorFormat) throws(InitError) -> Representation {
        var representation = Representation(
            try content(in: format),
            mediaType: format.mediaType,
            caching: .forever
        )
        representation.preparation = preparation
        if needsLongWork(representation.content) { representation.workMemory = PlannedReply.assembledBytes }
        switch format {
        case .raw:
            for description in descriptions {
                representation.fields.append(HTTPFields.Further.tensorShape, description.shape.description)
                representation.fields.append(HTTPFields.Further.tensorDtype, description.dtype.rawValue)
            }
        case .summary:
            // However cheap the first byte is, a summary needs the last one, too.
            representation.workMemory = PlannedReply.assembledBytes
        case .npy, .safetensors, .json:
            break
        }
        return representation
    }

    /// Generator words that may be worked through without leaving the thread that asks.
    private static let shortWork = Double(1 << 22)

    /// Whether more than that goes into what has to be there before the first byte, the plan being prepared.
    private func needsLongWork(_ content: Representation.Content) -> Bool {
        switch content {
        case .generated(isShort: true, _): plan.work > PlannedReply.shortWork
        case .bytes, .computed, .generated(isShort: false, _), .source: false
        }
    }

    private func content(in format: TensorFormat) throws(InitError) -> Representation.Content {
        switch format {
        case .raw: try file { (_: TensorDescription) throws(FormatError) in [] }
        case .npy:
            try file { description throws(FormatError) in
                try NumPyHeader.bytes(shape: description.shape, dtype: description.dtype)
            }
        case .safetensors: try safetensors()
        case .json: try json()
        case .summary: try summary()
        }
    }

    // MARK: Files

    /// A tensor behind its header.
    private func file(
        _ header: (TensorDescription) throws(FormatError) -> [UInt8]
    ) throws(InitError) -> Representation.Content {
        do throws(FormatError) {
            var bytes: [UInt8] = []
            for description in descriptions { bytes += try header(description) }
            return try source(headerBytes: bytes.count) { [bytes, metrics] prepared throws(FormatError) in
                let tensor = ConcatenatedSource.Part(byteCount: prepared.plan.byteCount) {
                    prepared.makeSource(countedBy: metrics)
                }
                return bytes.isEmpty
                    ? prepared.makeSource(countedBy: metrics) : try ConcatenatedSource([.bytes(bytes), tensor])
            }
        } catch {
            throw InitError(error)
        }
    }

    private func safetensors() throws(InitError) -> Representation.Content {
        let layout: SafetensorsLayout
        do {
            layout = try SafetensorsLayout(descriptions, metadata: metadata)
        } catch {
            throw InitError(error)
        }
        return .source(byteCount: layout.byteCount) { [metrics] prepared throws(InitError) in
            do throws(FormatError) {
                return try layout.file { prepared.makeSource($0, countedBy: metrics) }
            } catch {
                throw InitError(error)
            }
        }
    }

    private func source(
        headerBytes: Int,
        _ make: @escaping @Sendable (PreparedPlan) throws(FormatError) -> any ByteSource
    ) throws(FormatError) -> Representation.Content {
        let (byteCount, overflow) = plan.byteCount.addingReportingOverflow(headerBytes)
        guard !overflow else { throw .tooLarge("the body is over 2^63 − 1 bytes") }
        return .source(byteCount: byteCount) { prepared throws(InitError) in
            do throws(FormatError) {
                return try make(prepared)
            } catch {
                throw InitError(error)
            }
        }
    }

    /// What a safetensors file says of itself. A tensor of two names lies there under one; the metadata tells the other, as
    /// the reference library's `save_model` writes it.
    private var metadata: [String: String] {
        var metadata = [
            "profile": InitService.profile,
            "seed": members.seed.description,
            "request": members.canonical.encodedText,
        ]
        for tie in plan.ties where metadata[tie.name] == nil { metadata[tie.name] = tie.target }
        return metadata
    }

    // MARK: JSON

    private func json() throws(InitError) -> Representation.Content {
        let written = try checkedJSONElements()
        let frames = frames()
        let stream = { @Sendable [descriptions, metrics] (prepared: PreparedPlan) -> any ByteStream in
            ChainedStream(count: descriptions.count + 1) { index in
                guard index < descriptions.count else { return BytesStream(frames[index]) }
                return JSONTensorStream(
                    prefix: frames[index],
                    source: prepared.makeSource(index, countedBy: metrics),
                    shape: descriptions[index].shape,
                    dtype: descriptions[index].dtype,
                    suffix: []
                )
            }
        }
        // An element and what separates it from the next take two bytes at least.
        let framed = frames.reduce(0) { $0 + $1.count }
        let isShort = written <= (PlannedReply.assembledBytes - min(framed, PlannedReply.assembledBytes)) / 2
        return .generated(isShort: isShort) { prepared, _ in
            if isShort, let bytes = stream(prepared).collected(limit: PlannedReply.assembledBytes) {
                return .bytes(bytes)
            }
            return .stream(stream(prepared))
        }
    }

    /// The elements that are written out, lists of nothing counted as one.
    private func checkedJSONElements() throws(InitError) -> Int {
        var written = 0
        for description in descriptions {
            let elements = description.shape.dimensions.prefix { $0 != 0 }.reduce(1, *)
            let (sum, overflow) = written.addingReportingOverflow(elements)
            guard !overflow, sum <= limits.maximumJSONElements else {
                throw InitError(
                    .tooLarge,
                    plan.tensors.count == 1 ? ["shape"] : [],
                    "the elements are over the limit of \(limits.maximumJSONElements) for JSON "
                        + "(--max-json-elements); other formats have none"
                )
            }
            written = sum
        }
        return written
    }

    /// The JSON before each tensor's numbers, and behind the last.
    private func frames() -> [[UInt8]] {
        switch members {
        case .tensor(let members):
            let head = JSONValue.object(members.identity(plan.tensors.first) + members.argumentsInForce).encoded
            return [head.dropLast() + Array(#","data":"#.utf8), [UInt8(ascii: "}")]]
        case .model(let members):
            var frames: [[UInt8]] = []
            var pending = JSONValue.object(members.identity).encoded.dropLast() + Array(#","tensors":["#.utf8)
            for (description, tensor) in zip(descriptions, plan.tensors) {
                let head = JSONValue.object(
                    [JSONValue.Member(name: "name", value: .string(description.name))] + tensor.geometry
                )
                frames.append(pending + head.encoded.dropLast() + Array(#","data":"#.utf8))
                pending = Array("},".utf8)
            }
            if !descriptions.isEmpty { pending = [UInt8(ascii: "}")] }
            return frames + [pending + Array("]}".utf8)]
        }
    }

    // MARK: Summary

    private func summary() throws(InitError) -> Representation.Content {
        var count = 0
        for description in descriptions {
            let (sum, overflow) = count.addingReportingOverflow(description.shape.elementCount)
            guard !overflow, sum <= limits.maximumSummaryElements else {
                throw InitError(
                    .tooLarge,
                    plan.tensors.count == 1 ? ["shape"] : [],
                    "the elements are over the limit of \(limits.maximumSummaryElements) for a summary "
                        + "(--max-summary-elements)"
                )
            }
            count = sum
        }
        return .generated(isShort: false) { [plan, members, metrics] prepared, isCancelled in
            var summaries: [TensorSummary] = []
            for (index, tensor) in plan.tensors.enumerated() {
                let summary = TensorSummary.compute(
                    prepared.makeSource(index, countedBy: metrics),
                    shape: tensor.shape,
                    dtype: tensor.dtype,
                    range: tensor.initialization.likelyRange,
                    isCancelled: isCancelled
                )
                // Without one it has been cancelled, and nobody reads this.
                guard let summary else { return .empty }
                summaries.append(summary)
            }
            var writer = JSONWriter()
            writer.object { writer in
                switch members {
                case .tensor(let members):
                    for member in members.origin { writer.member(member.name, member.value) }
                    writer.member("parameters", JSONValue.object(members.argumentsInForce))
                    PlannedReply.write(summaries, of: plan, to: &writer)
                case .model(let members):
                    for member in members.identity { writer.member(member.name, member.value) }
                    writer.array("tensors") { writer in
                        for (index, tensor) in plan.tensors.enumerated() {
                            writer.object { writer in
                                writer.member("name", tensor.name)
                                writer.member("method", tensor.initialization.method)
                                writer.member("expected", tensor.initialization.expectation)
                                summaries[index].writeMembers(to: &writer)
                            }
                        }
                    }
                }
            }
            return .bytes(writer.bytes)
        }
    }

    private static func write(_ summaries: [TensorSummary], of plan: Plan, to writer: inout JSONWriter) {
        for (summary, tensor) in zip(summaries, plan.tensors) {
            writer.member("expected", tensor.initialization.expectation)
            summary.writeMembers(to: &writer)
        }
    }
}

extension Initialization {
    /// What theory says of the elements.
    fileprivate var expectation: JSONValue {
        var members: [JSONValue.Member] = []
        // The middle of two ends whose sum may be more than float64 has.
        let middle = interval.map { $0.low + ($0.high - $0.low) / 2 }
        let deviation = interval.map { ($0.high - $0.low) / 12.0.squareRoot() }
        members.append("mean", (mean ?? middle).map(JSONValue.double))
        members.append("std", (std ?? deviation).map(JSONValue.double))
        members.append("bound", bound.map(JSONValue.double))
        return .object(members)
    }

    /// What a histogram covers, where theory knows: all of a uniform, four deviations of a normal.
    fileprivate var likelyRange: ClosedRange<Double>? {
        if let interval, interval.low < interval.high { return interval.low...interval.high }
        let reach = bound ?? std.map { 4 * $0 }
        guard let reach, let mean, reach > 0, mean - reach < mean + reach else { return nil }
        return mean - reach...mean + reach
    }
}

extension PlannedTensor {
    /// What there is of it, and of what type.
    var geometry: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("shape", .integers(shape.dimensions))
        members.append("slice", slice.map { .string($0.description) })
        members.append("full_shape", slice.map { _ in .integers(fullShape.dimensions) })
        members.append("dtype", .string(dtype.rawValue))
        return members
    }
}

extension TensorMembers {
    /// Which tensor it is, apart from the method's parameters.
    func identity(_ tensor: PlannedTensor?) -> [JSONValue.Member] {
        (tensor?.geometry ?? []) + origin
    }

    /// Where the numbers come from.
    fileprivate var origin: [JSONValue.Member] {
        seed.members + [JSONValue.Member(name: "method", value: .string(request.method))]
    }
}

extension ModelMembers {
    /// Where the numbers come from, and which tensors have other names.
    var identity: [JSONValue.Member] {
        var members = seed.members
        members.append("seeding", .string(request.seeding.rawValue))
        members.append(
            "tie",
            request.ties.isEmpty
                ? nil : .object(request.ties.map { JSONValue.Member(name: $0.name, value: .string($0.target)) })
        )
        return members
    }
}

extension Seed {
    fileprivate var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("seed", .number(description))
        members.append("effective_seed", .integer(effective))
        return members
    }
}

extension InitError {
    /// A tensor that a format has no room for, or no name.
    init(_ error: FormatError) {
        switch error {
        case .tooLarge: self.init(.tooLarge, ["shape"], error.description)
        case .unrepresentable, .duplicateName, .reservedName: self.init(.refused, [], error.description)
        }
    }
}
