internal import ByteText
import ByteSource
internal import SHA2
import TensorFormats
import WeightInit

/// Planned tensors, ready to be written in any format.
struct PlannedAnswer: Sendable {
    /// Changes if the bytes of a format change, so that no cache mixes old and new bytes.
    static let encoderRevision: Text = "2"

    /// Bytes that a planned tensor takes in memory, with its name and its place in a file. Measured.
    static let memoryOfTensor = 1024

    /// Bytes that a summary takes in memory: two lists of the histogram and a digest, each with the head of its array.
    private static let memoryOfSummary = 1024

    /// Bytes of JSON that a number and its comma take, seldom exceeded.
    private static let commonNumberBytes = 14

    private let members: InitMembers
    private let plan: Plan
    private let context: OperationContext
    private let preparation: PreparationTicket
    private let descriptions: [TensorDescription]

    private var production: Production { context.production }

    init(_ members: InitMembers, _ plan: Plan, _ context: OperationContext) throws(InitError) {
        self.members = members
        self.plan = plan
        self.context = context
        preparation = try PreparationTicket(plan, of: members, context)
        var descriptions: [TensorDescription] = []
        descriptions.reserveCapacity(plan.tensors.count)
        do throws(FormatError) {
            for tensor in plan.tensors {
                // A single tensor has no name, but a safetensors file needs one.
                let name = tensor.name.isEmpty ? "tensor" : tensor.name
                descriptions.append(try TensorDescription(name: name, shape: tensor.shape, dtype: tensor.dtype))
            }
        } catch {
            throw InitError(error)
        }
        self.descriptions = descriptions
    }

    func answer(in format: TensorFormat) throws(InitError) -> Answer {
        let request = members.canonicalText
        var answer = try encoded(in: format, request)
        complete(&answer, identity(request, format.name))
        return answer
    }

    /// A document with the digest of the body in a format. The whole body is made and hashed, and none of it is kept.
    func document(
        withDigestIn format: TensorFormat,
        _ make: @escaping @Sendable (_ sha256: Text) -> JSONDocument
    ) throws(InitError) -> Answer {
        try checkSummaryElements(for: "a digest")
        let hashed = try answer(in: format)
        let content = Answer.Content.computed { isCancelled throws(InitError) in
            try hashed.body(isCancelled: isCancelled)?.body.sha256(isCancelled).map { make(Text($0.description)) }
        }
        var answer = Answer(content, mediaType: Answer.json, lifetime: .release)
        let memory = AnswerBody.hashedBytes + Answer.assembledBytes
        // Time for the digest and, in JSON, for writing the numbers.
        let hashing = WorkEstimate(duration: WorkEstimate.deferredDuration + plan.duration * 4, memory: memory)
        answer.work = preparation.estimate + hashed.work + hashing
        answer.memory = hashed.memory
        return answer
    }

    private func complete(_ answer: inout Answer, _ identity: Identity) {
        answer.identity = identity
        answer.preparation = preparation
        answer.memory = answer.memory.addingClamped(plan.memory)
    }

    private func identity(_ request: Text, _ form: Text) -> Identity {
        Identity(
            of: request,
            Release.bits,
            form,
            Self.encoderRevision
        )
    }

    /// - Parameter request: The canonical request.
    private func encoded(in format: TensorFormat, _ request: Text) throws(InitError) -> Answer {
        switch format.encoder {
        case .file(let header): try file(format, header)
        case .safetensors: try safetensors(request)
        case .numbers: try json()
        case .statistics: try summary()
        }
    }

    // MARK: Files

    /// A file of one tensor: the header, if the format has one, and the elements.
    private func file(
        _ format: TensorFormat,
        _ header: (@Sendable (TensorDescription) throws(FormatError) -> [UInt8])?
    ) throws(InitError) -> Answer {
        var headers: [UInt8] = []
        do throws(FormatError) {
            if let header {
                for description in descriptions { headers += try header(description) }
            }
        } catch {
            throw InitError(error)
        }
        let (byteCount, overflow) = plan.byteCount.addingReportingOverflow(headers.count)
        guard !overflow else { throw InitError(FormatError.tooLarge("the body is over 2^63 − 1 bytes")) }
        var answer = source(format, byteCount: byteCount) { [headers, production] prepared throws(FormatError) in
            let tensor = ConcatenatedSource.Part(byteCount: prepared.plan.byteCount) {
                prepared.makeSource(countedBy: production)
            }
            return headers.isEmpty
                ? prepared.makeSource(countedBy: production) : try ConcatenatedSource([.bytes(headers), tensor])
        }
        if header == nil { answer.tensor = descriptions.first.map { ($0.shape, $0.dtype) } }
        return answer
    }

    private func safetensors(_ request: Text) throws(InitError) -> Answer {
        try plan.checkSafetensorsNames()
        var metadata = metadata(of: plan.ties)
        metadata["request"] = request
        return try safetensors(plan.tensors.indices, metadata)
    }

    /// Safetensors files, one for each range of tensors. Their metadata leave out the request, which is longer than the
    /// rest of a small file's header.
    func shards(_ ranges: [Range<Int>]) throws(InitError) -> [Answer] {
        try plan.checkSafetensorsNames()
        // The request is hashed once for all files: its length and their number both grow with the model.
        let whole = identity(members.canonicalText, "shards").digest
        var answers: [Answer] = []
        for tensors in ranges {
            let names = Set(plan.tensors[tensors].map(\.name))
            var answer = try safetensors(tensors, metadata(of: plan.ties.filter { names.contains($0.target) }))
            let place = "\(tensors.lowerBound) \(tensors.upperBound)"
            complete(&answer, Identity(of: whole, Text(place)))
            answers.append(answer)
        }
        return answers
    }

    private func safetensors(_ tensors: Range<Int>, _ metadata: [Text: Text]) throws(InitError) -> Answer {
        let layout: SafetensorsLayout
        do {
            layout = try SafetensorsLayout(Array(descriptions[tensors]), metadata: metadata)
        } catch {
            throw InitError(error)
        }
        var answer = source(.safetensors, byteCount: layout.byteCount) { [production] prepared throws(FormatError) in
            let generators = Generators()
            return try layout.file { prepared.makeSource(tensors.lowerBound + $0, generators, countedBy: production) }
        }
        answer.memory = layout.header.count
        return answer
    }

    private func source(
        _ format: TensorFormat,
        byteCount: Int,
        _ make: @escaping @Sendable (PreparedPlan) throws(FormatError) -> any ByteSource
    ) -> Answer {
        let content = Answer.Content.source(byteCount: byteCount) { prepared throws(InitError) in
            do throws(FormatError) {
                return try make(prepared)
            } catch {
                throw InitError(error)
            }
        }
        return Answer(content, mediaType: format.mediaType, lifetime: .forever)
    }

    /// Metadata of a safetensors file. The file holds a tensor with two names under one of them. The metadata map the
    /// other name to it, as the reference library's `save_model` does. transformers and accelerate refuse files without
    /// `format`.
    private func metadata(of ties: [Tie]) -> [Text: Text] {
        var metadata: [Text: Text] = [
            "format": "pt",
            "profile": Release.profile,
            "seed": Text(members.seed.description),
        ]
        for tie in ties { metadata[tie.name] = tie.target }
        return metadata
    }

    // MARK: JSON

    private func json() throws(InitError) -> Answer {
        let written = try checkedJSONElements()
        let frames = shortFrames(elements: written)
        let content = Answer.Content.generated(isShort: frames != nil) { prepared, _ in
            guard let frames else { return .stream(stream(prepared, frame)) }
            let expected = written * Self.commonNumberBytes + frames.reduce(0) { $0 + $1.count }
            let bytes = stream(prepared) { frames[$0] }.collected(limit: Answer.assembledBytes, expecting: expected)
            return bytes.map(AnswerBody.bytes) ?? .stream(stream(prepared) { frames[$0] })
        }
        var answer = Answer(content, mediaType: TensorFormat.json.mediaType, lifetime: .forever)
        // A long body is made while it is sent.
        if frames != nil { answer.work = WorkEstimate(duration: plan.duration, memory: Answer.assembledBytes) }
        return answer
    }

    /// - Parameter frame: The JSON before each tensor's numbers and behind the last, see ``frame(_:)``.
    private func stream(_ prepared: PreparedPlan, _ frame: @escaping (Int) -> [UInt8]) -> any ByteStream {
        let generators = Generators()
        return ChainedStream(count: descriptions.count + 1) { index in
            guard index < descriptions.count else { return BytesStream(frame(index)) }
            return JSONTensorStream(
                prefix: frame(index),
                source: prepared.makeSource(index, generators, countedBy: production),
                shape: descriptions[index].shape,
                dtype: descriptions[index].dtype
            )
        }
    }

    /// The JSON around the numbers if the whole text may be short, in which an element and its separator take at least
    /// two bytes; else `nil`.
    private func shortFrames(elements: Int) -> [[UInt8]]? {
        var room = Answer.assembledBytes
        guard descriptions.count <= room, elements <= room / 2 else { return nil }
        room -= 2 * elements
        var frames: [[UInt8]] = []
        for index in 0...descriptions.count {
            frames.append(frame(index))
            room -= frames[index].count
            guard room >= 0 else { return nil }
        }
        return frames
    }

    /// Number of elements that JSON writes; an empty row counts as one.
    private func checkedJSONElements() throws(InitError) -> Int {
        try checkedElements(\.maximumJSONElements, for: "JSON; raw, npy and safetensors have none") { shape in
            shape.dimensions.prefix { $0 != 0 }.reduce(1, *)
        }
    }

    /// Number of elements of all tensors, as `count` counts them.
    ///
    /// - Throws: `tooLarge` if they are over the limit.
    private func checkedElements(
        _ limit: KeyPath<ServiceLimits, Int>,
        for purpose: String,
        count: (Shape) -> Int
    ) throws(InitError) -> Int {
        let total = descriptions.reduce(0 as Int?) { total, description in
            guard let (sum, overflow) = total?.addingReportingOverflow(count(description.shape)), !overflow else {
                return nil
            }
            return sum
        }
        let maximum = context.limits[keyPath: limit]
        guard let total, total <= maximum else {
            let areElements = descriptions.allSatisfy { count($0.shape) == $0.shape.elementCount }
            throw InitError(
                over: limit,
                plan.tensors.count == 1 ? ["shape"] : [],
                "\(total.map(String.init) ?? "2^63 or more") \(areElements ? "elements" : "elements and empty rows") "
                    + "are over the limit of \(maximum) for \(purpose)"
            )
        }
        return total
    }

    /// The JSON before a tensor's numbers. For an index past the end, the JSON behind the last tensor's numbers.
    private func frame(_ index: Int) -> [UInt8] {
        let isFirst = index == 0
        let isPastEnd = index == descriptions.count
        switch members {
        case .tensor(let members):
            guard !isPastEnd else { return [UInt8(ascii: "}")] }
            let head = members.identity(plan.tensors.first) + members.argumentsInForce
            return Self.open(head) + Array(#","data":"#.utf8)
        case .model(let members):
            var frame = isFirst ? Self.open(members.identity) + Array(#","tensors":["#.utf8) : [UInt8(ascii: "}")]
            guard !isPastEnd else { return frame + Array("]}".utf8) }
            if !isFirst { frame.append(UInt8(ascii: ",")) }
            let name = JSONValue.Member(name: "name", value: .string(descriptions[index].name))
            return frame + Self.open([name] + plan.tensors[index].geometry) + Array(#","data":"#.utf8)
        }
    }

    /// The JSON of an object to which members can be added: without its last bracket.
    private static func open(_ members: [JSONValue.Member]) -> [UInt8] {
        var json = JSONValue.object(members).encoded
        json.removeLast()
        return json
    }

    // MARK: Summary

    /// - Throws: `tooLarge` for more elements than a summary or digest may cover.
    private func checkSummaryElements(for purpose: String) throws(InitError) {
        _ = try checkedElements(\.maximumSummaryElements, for: purpose, count: \.elementCount)
    }

    private func summary() throws(InitError) -> Answer {
        try checkSummaryElements(for: "a summary")
        let content = Answer.Content.generated(isShort: false) { prepared, isCancelled in
            var summaries: [TensorSummary] = []
            summaries.reserveCapacity(plan.tensors.count)
            let generators = Generators()
            for (index, tensor) in plan.tensors.enumerated() {
                let summary = TensorSummary.compute(
                    prepared.makeSource(index, generators, countedBy: production),
                    shape: tensor.shape,
                    dtype: tensor.dtype,
                    range: plan.draw(of: tensor)?.resolution.likelyRange,
                    isCancelled: isCancelled
                )
                guard let summary else { return nil }
                summaries.append(summary)
            }
            return body(summaries)
        }
        var answer = Answer(content, mediaType: TensorFormat.summary.mediaType, lifetime: .forever)
        let memory = plan.tensors.count.multipliedClamped(by: Self.memoryOfSummary)
        answer.work = WorkEstimate(
            // Digest and moments take as long as the numbers do.
            duration: WorkEstimate.deferredDuration + plan.duration * 4 + .microseconds(50) * plan.tensors.count,
            memory: memory.addingClamped(Answer.assembledBytes)
        )
        answer.memory = memory
        return answer
    }

    private func body(_ summaries: [TensorSummary]) -> AnswerBody {
        let makeStream = {
            ChainedStream(count: summaries.count + 2) { BytesStream(piece($0 - 1, of: summaries)) }
        }
        return makeStream().collected(limit: Answer.assembledBytes).map(AnswerBody.bytes) ?? .stream(makeStream())
    }

    /// The JSON of a tensor's summary. For index −1, the JSON before the first summary; for an index past the end, the
    /// JSON behind the last.
    private func piece(_ index: Int, of summaries: [TensorSummary]) -> [UInt8] {
        let isPastEnd = index == summaries.count
        switch members {
        case .tensor(let members):
            if index < 0 {
                let parameters = JSONValue.Member(name: "parameters", value: .object(members.argumentsInForce))
                return Self.open(members.origin + [parameters])
            }
            guard !isPastEnd else { return [UInt8(ascii: "}")] }
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("expected", plan.expectation(of: plan.tensors[index]))
                summaries[index].writeMembers(to: &writer)
            }
            var inner = writer.takeBytes()
            inner[0] = UInt8(ascii: ",")
            inner.removeLast()
            return inner
        case .model(let members):
            if index < 0 { return Self.open(members.identity) + Array(#","tensors":["#.utf8) }
            guard !isPastEnd else { return Array("]}".utf8) }
            var writer = JSONWriter()
            writer.object { writer in
                let tensor = plan.tensors[index]
                writer.member("name", tensor.name)
                writer.member("method", plan.method(of: tensor) ?? "steps")
                writer.member("expected", plan.expectation(of: tensor))
                summaries[index].writeMembers(to: &writer)
            }
            return (index > 0 ? [UInt8(ascii: ",")] : []) + writer.bytes
        }
    }
}

extension Plan {
    /// Metadata keys that a tie cannot have as its name.
    private static let reservedKeys: [Text] = ["profile", "seed", "request", "format"]

    /// - Throws: `refused` for names that a safetensors file gives a meaning of its own.
    func checkSafetensorsNames() throws(InitError) {
        do throws(FormatError) {
            for tensor in tensors { try SafetensorsLayout.check(name: tensor.name) }
        } catch {
            throw InitError(error)
        }
        for tie in ties where Self.reservedKeys.contains(tie.name) {
            throw InitError(
                .refused,
                ["tie", tie.name],
                "is a name in the metadata of a safetensors file; ties there need other names than "
                    + Self.reservedKeys.map(\.description).joined(separator: ", ")
            )
        }
    }

    /// Bytes of memory that the plan takes.
    var memory: Int {
        (tensors.count + unsent.count).multipliedClamped(by: PlannedAnswer.memoryOfTensor).addingClamped(
            literalByteCount
        )
    }

    /// Approximate time that making all requested elements takes.
    fileprivate var duration: Duration { .nanoseconds(Int64(min(work, 1e18))) }
}

extension Plan {
    /// Expected statistics of a tensor's elements.
    fileprivate func expectation(of tensor: PlannedTensor) -> JSONValue {
        draw(of: tensor)?.resolution.expectation ?? .object([])
    }
}

extension InitMethod.Resolution {
    /// Expected statistics of the elements.
    fileprivate var expectation: JSONValue {
        var members: [JSONValue.Member] = []
        members.append("mean", mean.map(JSONValue.double))
        members.append("std", std.map(JSONValue.double))
        members.append("bound", bound.map(JSONValue.double))
        return .object(members)
    }

    /// Expected range for a histogram: the interval of a uniform distribution, or the mean ± 4 standard deviations of a
    /// normal one.
    fileprivate var likelyRange: ClosedRange<Double>? {
        if let interval, interval.low < interval.high { return interval.low...interval.high }
        let reach = bound ?? std.map { 4 * $0 }
        guard let reach, let mean, reach > 0, mean - reach < mean + reach else { return nil }
        return mean - reach...mean + reach
    }
}

extension PlannedTensor {
    /// Shape, slice and dtype.
    var geometry: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("shape", .integers(shape.dimensions))
        members.append("slice", slice.map { .string(Text($0.description)) })
        members.append("full_shape", slice.map { _ in .integers(fullShape.dimensions) })
        members.append("dtype", .string(dtype.word))
        members.append("drawn_dtype", drawnDType == dtype ? nil : .string(drawnDType.word))
        return members
    }
}

extension TensorMembers {
    /// Members that identify the tensor, apart from the method's parameters.
    func identity(_ tensor: PlannedTensor?) -> [JSONValue.Member] {
        (tensor?.geometry ?? []) + origin
    }

    /// Seed and method.
    fileprivate var origin: [JSONValue.Member] {
        seed.members + [JSONValue.Member(name: "method", value: .string(request.method?.name ?? "steps"))]
    }
}

extension ModelMembers {
    /// Seed, seeding and ties.
    var identity: [JSONValue.Member] {
        var members = seed.members
        members.append("seeding", .string(request.seeding.word))
        members.append("tie", ties)
        return members
    }
}

extension Seed {
    fileprivate var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("seed", .number(Text(description)))
        members.append("effective_seed", .integer(effective))
        return members
    }
}

extension InitError {
    /// The error for tensors that a format cannot hold.
    init(_ error: FormatError) {
        switch error {
        case .tooLarge: self.init(.tooLarge, ["shape"], error.description)
        case .unrepresentable, .duplicateName, .reservedName: self.init(.refused, [], error.description)
        }
    }
}
