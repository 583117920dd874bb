import ByteSource
import HTTPExchange
import HTTPTypes
import TensorFormats
import WeightInit

/// A planned tensor, ready to be written in any format.
struct PlannedReply: Sendable {
    /// Changes when the bytes of a format do, so that no cache mixes old and new.
    static let encoderRevision = "1"

    /// A reply up to this size states its length.
    private static let assembledBytes = 64 << 10

    private let members: TensorMembers
    private let plan: Plan
    private let limits: ServiceLimits
    private let description: TensorDescription

    init(_ members: TensorMembers, _ plan: Plan, _ limits: ServiceLimits) throws(InitError) {
        self.members = members
        self.plan = plan
        self.limits = limits
        do {
            description = try TensorDescription(
                name: "tensor",
                shape: members.request.shape,
                dtype: members.request.dtype
            )
        } catch {
            throw InitError(error)
        }
    }

    func representation(in format: TensorFormat) throws -> Representation {
        var representation = Representation(
            try content(in: format),
            mediaType: format.mediaType,
            caching: .forever
        )
        representation.preparation = try preparation()
        switch format {
        case .raw:
            representation.fields.append("X-Tensor-Shape", description.shape.description)
            representation.fields.append("X-Tensor-Dtype", description.dtype.rawValue)
        case .summary:
            // However cheap the first byte is, a summary needs the last one, too.
            representation.preparation = (representation.preparation ?? 0) + PlannedReply.assembledBytes
        case .npy, .safetensors, .json:
            break
        }
        return representation
    }

    /// Bytes that the work before the first byte takes, where there is any.
    private func preparation() throws(InitError) -> Int? {
        guard let memory = plan.preparation?.memory else { return nil }
        guard memory <= limits.maximumWorkBytes else {
            throw .tooLarge(
                "shape",
                "\(members.request.method) would work in \(memory) bytes of memory, over the limit of "
                    + "\(limits.maximumWorkBytes) (--max-work-bytes)"
            )
        }
        return memory
    }

    private func content(in format: TensorFormat) throws -> Representation.Content {
        let plan = self.plan
        let description = self.description
        switch format {
        case .raw:
            return .source(byteCount: plan.byteCount) { () throws(InitError) in try plan.prepared().makeSource() }
        case .npy:
            let header = try NumPyHeader.bytes(shape: description.shape, dtype: description.dtype)
            return try file(header: header)
        case .safetensors:
            let layout = try SafetensorsLayout([description], metadata: members.metadata)
            return try file(header: layout.header)
        case .json:
            return try json()
        case .summary:
            return try summary()
        }
    }

    /// A header and the elements behind it.
    private func file(header: [UInt8]) throws(InitError) -> Representation.Content {
        let (byteCount, overflow) = plan.byteCount.addingReportingOverflow(header.count)
        guard !overflow else { throw .tooLarge("shape", "the body is over 2^63 − 1 bytes") }
        let plan = self.plan
        return .source(byteCount: byteCount) { () throws(InitError) in
            let elements = try plan.prepared().makeSource()
            do throws(FormatError) {
                return try ConcatenatedSource([
                    .bytes(header), .init(byteCount: elements.byteCount) { elements },
                ])
            } catch {
                throw InitError(error)
            }
        }
    }

    private func json() throws(InitError) -> Representation.Content {
        let shape = description.shape
        // The product of the sizes that are written out: lists of nothing are text, too.
        let written = shape.dimensions.prefix { $0 != 0 }.reduce(1, *)
        guard written <= limits.maximumJSONElements else {
            throw .tooLarge(
                "shape",
                "\(written) elements are over the limit of \(limits.maximumJSONElements) for JSON (--max-json-elements); "
                    + "other formats have none"
            )
        }
        let prefix = JSONValue.object(members.head).encoded.dropLast() + Array(#","data":"#.utf8)
        let plan = self.plan
        let stream = { @Sendable () throws(InitError) -> any ByteStream in
            JSONTensorStream(
                prefix: Array(prefix),
                source: try plan.prepared().makeSource(),
                shape: shape,
                dtype: plan.tensors[0].dtype,
                suffix: [UInt8(ascii: "}")]
            )
        }
        // An element and what separates it from the next take two bytes at least.
        let isShort = written <= PlannedReply.assembledBytes / 2
        return .generated(isShort: isShort) { _ throws(InitError) in
            if isShort, let bytes = try stream().collected(limit: PlannedReply.assembledBytes) {
                return .bytes(bytes)
            }
            return .stream(try stream())
        }
    }

    private func summary() throws(InitError) -> Representation.Content {
        let count = description.shape.elementCount
        guard count <= limits.maximumSummaryElements else {
            throw .tooLarge(
                "shape",
                "\(count) elements are over the limit of \(limits.maximumSummaryElements) for a summary "
                    + "(--max-summary-elements)"
            )
        }
        let plan = self.plan
        let members = self.members
        return .generated(isShort: false) { isCancelled throws(InitError) in
            let tensor = plan.tensors[0]
            let summary = TensorSummary.compute(
                try plan.prepared().makeSource(),
                shape: tensor.shape,
                dtype: tensor.dtype,
                range: tensor.initialization.likelyRange,
                isCancelled: isCancelled
            )
            // Without one it has been cancelled, and nobody reads this.
            guard let summary else { return .empty }
            var writer = JSONWriter()
            writer.object { writer in
                for member in members.origin { writer.member(member.name, member.value) }
                writer.member("parameters", JSONValue.object(members.argumentsInForce))
                writer.member("expected", tensor.initialization.expectation)
                summary.writeMembers(to: &writer)
            }
            return .bytes(writer.bytes)
        }
    }
}

extension Initialization {
    /// What theory says of the elements.
    fileprivate var expectation: JSONValue {
        var members: [JSONValue.Member] = []
        members.append("mean", mean.map(JSONValue.double))
        members.append("std", std.map(JSONValue.double))
        members.append("bound", bound.map(JSONValue.double))
        return .object(members)
    }

    /// What a histogram covers, where theory knows: all of a uniform, four deviations of a normal.
    fileprivate var likelyRange: ClosedRange<Double>? {
        let reach = bound ?? std.map { 4 * $0 }
        guard let reach, let mean, reach > 0, mean - reach < mean + reach else { return nil }
        return mean - reach...mean + reach
    }
}

extension TensorMembers {
    /// What a JSON reply says before it comes to the numbers.
    fileprivate var head: [JSONValue.Member] {
        identity + argumentsInForce
    }

    /// Which tensor it is, apart from the method's parameters.
    var identity: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("shape", .integers(request.shape.dimensions))
        members.append("dtype", .string(request.dtype.rawValue))
        return members + origin
    }

    /// Where the numbers come from.
    fileprivate var origin: [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        members.append("seed", .number(seed.description))
        members.append("effective_seed", .integer(seed.effective))
        members.append("method", .string(request.method))
        return members
    }

    fileprivate var metadata: [String: String] {
        [
            "profile": InitService.profile,
            "seed": seed.description,
            "request": canonical.json.encodedText,
        ]
    }
}

extension InitError {
    /// A tensor that a format has no room for.
    init(_ error: FormatError) {
        self.init(.tooLarge, ["shape"], error.description)
    }
}

extension HTTPFields {
    /// Adds a field of a name that is not in the library's table.
    mutating func append(_ name: String, _ value: String) {
        if let name = HTTPField.Name(name) { append(HTTPField(name: name, value: value)) }
    }
}
