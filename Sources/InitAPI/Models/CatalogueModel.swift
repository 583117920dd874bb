package import ByteText
package import WeightInit

/// A model of the catalogue: a request, and files beside it.
package final class CatalogueModel: Sendable {
    /// The file that holds the request.
    package static let requestFile: Text = "init.json"

    /// Organisation and name, with a slash between them.
    package let name: Text
    /// One line of the request's `description`; empty if it has none.
    package let description: Text
    /// The request's own seed.
    let seed: Seed
    /// Number of tensors that are sent.
    package let tensorCount: Int
    /// Elements of all parameters.
    package let parameterCount: Int
    /// Bytes of all tensors that are sent.
    package let byteCount: Int
    /// Counts that decide how long planning takes and how much memory it needs.
    package let planningNeed: PlanningNeed
    /// Sorted by their names.
    package let files: [ModelFile]
    /// Digest of all files: equal for two models only if all their files are equal.
    let digest: Text
    private let request: ModelFile

    /// A model whose request is known to be valid.
    ///
    /// - Parameters:
    ///   - literalText: Bytes of the literals' text in the request.
    ///   - literalBytes: Bytes of the literals' elements.
    init(
        name: Text,
        description: Text,
        seed: Seed,
        tensorCount: Int,
        parameterCount: Int,
        byteCount: Int,
        literalText: Int,
        literalBytes: Int,
        files: [ModelFile],
        request: ModelFile
    ) {
        self.name = name
        self.description = description
        self.seed = seed
        self.tensorCount = tensorCount
        self.parameterCount = parameterCount
        self.byteCount = byteCount
        planningNeed = PlanningNeed(
            tensors: tensorCount,
            requestBytes: request.byteCount,
            literalText: literalText,
            literalBytes: literalBytes
        )
        self.files = files.sorted { $0.name < $1.name }
        self.request = request
        var contents: [UInt8] = []
        for file in self.files { contents += "\(file.name.byteCount):\(file.name)\(file.sha256)".utf8 }
        digest = Identity(of: contents).digest
    }

    /// Decodes and plans the request once, so that a mistake in it is found before anyone asks for the model.
    ///
    /// - Throws: `InitError` if the request is missing, cannot be decoded or cannot be planned. Its path starts at a
    ///   member of the request, and is empty for a fault in the list of files or the request as a whole.
    package convenience init(name: Text, files: [ModelFile], limits: ServiceLimits) throws(InitError) {
        guard let request = files.first(where: { $0.name == Self.requestFile }) else {
            throw InitError(.invalid, [], "there is no file \(Self.requestFile)")
        }
        if let file = files.first(where: { WeightFile(name: $0.name) != nil }) {
            throw InitError(.invalid, [], "\(file.name) is the name of a file that the service makes")
        }
        let given = try RequestMembers(request, limits)
        let members = try ModelMembers(of: given)
        let plan = try Plan(members.request, seed: members.seed, limits: limits.tensors)
        try plan.checkSafetensorsNames()
        self.init(
            name: name,
            description: given.json("description").flatMap { value in
                if case .string(let text) = value { text.firstLine } else { nil }
            } ?? "",
            seed: members.seed,
            tensorCount: plan.tensors.count,
            parameterCount: plan.parameterCount,
            byteCount: plan.byteCount,
            literalText: given.literalText,
            literalBytes: plan.literalByteCount,
            files: files,
            request: request
        )
    }

    /// Organisation and name from the segments of a path; `nil` if either is not valid.
    package static func name(_ organisation: Text, _ name: Text) -> Text? {
        isName(organisation) && isName(name) ? organisation + "/" + name : nil
    }

    /// `true` for a name that a directory or a file may have: letters, digits, `.`, `_`, `-`; no dot at the beginning.
    package static func isName(_ text: Text) -> Bool {
        let isAllowed = { (byte: UInt8) in byte.isLetterOrDigit || "._-".utf8.contains(byte) }
        return (1...longestName).contains(text.byteCount) && !text.hasPrefix(".") && text.utf8.allSatisfy(isAllowed)
    }

    /// Maximum bytes of a name. The Hub's clients accept no longer one.
    private static let longestName = 96

    /// The request in JSON.
    ///
    /// - Throws: `failed` if it cannot be unpacked.
    package func document() throws(InitError) -> [UInt8] {
        try request.bytes()
    }

    /// The request, decoded.
    ///
    /// - Throws: `failed` if it cannot be unpacked.
    func members(_ limits: ServiceLimits) throws(InitError) -> ModelMembers {
        try ModelMembers(of: RequestMembers(request, limits))
    }
}

extension RequestMembers {
    /// - Throws: `invalid` if the file is not a JSON object.
    fileprivate init(_ file: ModelFile, _ limits: ServiceLimits) throws(InitError) {
        // The operator chose the file, so the number of its values is not limited.
        try self.init(parsing: try file.bytes(), JSONLimits(depth: limits.maximumJSONDepth, values: .max))
    }

    /// Bytes of the text of all literals.
    fileprivate var literalText: Int {
        given.reduce(0) { sum, member in
            if case .json(let value) = member.value { sum + value.literalText } else { sum }
        }
    }
}

extension JSONValue {
    /// Members of `data` that spell elements out.
    private static let literalNames: [Text] = ["base64", "zlib"]

    /// Bytes of the text of all literals in a request's value.
    fileprivate var literalText: Int {
        switch self {
        case .array(let elements):
            elements.reduce(0) { $0 + $1.literalText }
        case .object(let members):
            members.reduce(0) { sum, member in
                if case .string(let text) = member.value, Self.literalNames.contains(member.name) {
                    sum + text.byteCount
                } else {
                    sum + member.value.literalText
                }
            }
        default: 0
        }
    }
}

extension ModelMembers {
    /// - Throws: `invalid` also for a request for one tensor.
    fileprivate init(of members: RequestMembers) throws(InitError) {
        guard Self.describes(members) else {
            throw InitError(.invalid, [], "is not a request for a model: it has no layers, layer or tensors")
        }
        try self.init(members)
    }
}

extension Text {
    fileprivate var firstLine: Text { split(separator: "\n", maxSplits: 1).first ?? self }
}

extension Plan {
    /// Elements of all parameters that are sent.
    var parameterCount: Int {
        tensors.reduce(0) { $1.isBuffer ? $0 : $0 + $1.fullShape.elementCount }
    }
}

extension PlannedTensor {
    /// Names of the running statistics of PyTorch's norms.
    private static let statistics: [Text] = ["running_mean", "running_var"]

    /// `true` if `parameters()` of the model in PyTorch does not have the tensor.
    ///
    /// A list of tensors has no modules that tell parameters from buffers, so names of running statistics do. The
    /// built-in models have no other buffers of floats.
    var isBuffer: Bool {
        guard isParameter else { return true }
        return Self.statistics.contains { name == $0 || name.hasSuffix("." + $0) }
    }
}
