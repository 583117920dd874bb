package import ByteText
import TensorFormats
package import WeightInit

/// A tensor, a layer's parameters or a model's in one of the formats.
package struct InitQuestion: Question {
    private let members: InitMembers
    /// The file at the end of the path, if it has one.
    private let file: InitFile?

    package init(_ members: RequestMembers) throws(InitError) {
        self.members = try InitMembers(members)
        file = nil
    }

    /// - Throws: `invalid` also if the members name a format other than the file's.
    package init(_ members: RequestMembers, in file: InitFile) throws(InitError) {
        self.members = try InitMembers(members)
        self.file = file
        guard let named = self.members.format, named.fileExtension != file.format.fileExtension else { return }
        throw .invalid("format", "is \(named.name), but the path ends in \(file.name.quotedForMessage)")
    }

    package func answer(_ asking: Asking) throws(InitError) -> Answer? {
        guard let plan = try members.plan(asking) else { return nil }
        let named = members.format ?? file?.format
        let format = try members.format(named, or: asking.preference)
        var answer = try PlannedAnswer(members, plan, asking.context).answer(in: format)
        let isFile = file != nil
        answer.url = { [members] path in members.url(isFile ? "/init" : path, format) }
        answer.fileName = file?.name ?? members.fileName(in: format)
        // The preference is only for requests without a format.
        answer.isNegotiated = named == nil
        return answer
    }
}

/// A file's name at the end of a path: `conv1.safetensors`. Its extension is the format.
package struct InitFile: Sendable {
    /// Longest name that file systems take, in bytes.
    private static let longestName = 255

    let name: Text
    let format: TensorFormat

    /// - Throws: `invalid` for a name that is unsafe to save, or whose extension belongs to no format.
    package init(name: Text) throws(InitError) {
        guard name.byteCount <= Self.longestName else {
            throw InitError(.invalid, [], "a file's name has at most \(Self.longestName) bytes")
        }
        guard !name.hasPrefix(".") else {
            throw InitError(.invalid, [], "the file's name \(name.quotedForMessage) begins with a dot")
        }
        guard name.description.unicodeScalars.allSatisfy(Self.isSafe) else {
            throw InitError(.invalid, [], "a file's name has no slashes and no control characters")
        }
        let parts = name.split(separator: ".")
        let given = parts.count > 1 ? parts.last?.asciiLowercased() : nil
        guard let format = TensorFormat.all.first(where: { $0.extensions.contains { Text($0) == given } }) else {
            throw InitError(
                .invalid,
                [],
                "the file's name \(name.quotedForMessage) has an unknown extension",
                allowed: TensorFormat.all.flatMap(\.extensions).map { Text("." + $0) }
            )
        }
        self.name = name
        self.format = format
    }

    private static func isSafe(_ scalar: Unicode.Scalar) -> Bool {
        scalar != "/" && scalar != "\\" && scalar.properties.generalCategory != .control
    }
}

extension TensorFormat {
    /// Extension of the names that the service gives to files; a summary is JSON.
    var fileExtension: Text { Text(extensions.first ?? "json") }
}

extension InitMembers {
    /// Method and shape of a tensor: `kaiming_normal-64x3x7x7.npy`; the type of a layer; `model`.
    fileprivate func fileName(in format: TensorFormat) -> Text {
        let name =
            switch self {
            case .tensor(let members): members.fileName
            case .model(let members): members.fileName.description
            }
        return Text(name + "." + format.fileExtension.description)
    }

    /// The named format, or the one that the client prefers.
    ///
    /// - Throws: `notOffered` if no acceptable format can hold the tensors.
    func format(_ named: TensorFormat?, or preference: any MediaPreference) throws(InitError) -> TensorFormat {
        lazy var able = TensorFormat.all.filter { objection(to: $0) == nil }
        if let named {
            guard let objection = objection(to: named) else { return named }
            throw InitError(.notOffered, ["format"], objection, allowed: able.map(\.name))
        }
        // A summary can only be requested by name, because it shares its media type with `json`.
        let offers = able.filter { $0 != .summary }
        if let best = preference.preferred(among: offers, mediaType: \.mediaType) { return best }
        let wanted = preference.preferred(among: TensorFormat.all, mediaType: \.mediaType)
        throw InitError(
            .notOffered,
            [],
            wanted.flatMap(objection) ?? "none of the media types offered is acceptable\(preference.found)",
            allowed: offers.map { Text($0.mediaType) }
        )
    }
}

extension TensorMembers {
    /// Longest shape in a name, in bytes: file systems take names of 255.
    private static let longestShape = 100

    fileprivate var fileName: String {
        let method = request.method?.name.description ?? "tensor"
        var name = method
        for (index, dimension) in request.shape.dimensions.enumerated() {
            name += index == 0 ? "-" : "x"
            name += String(dimension)
        }
        return name.utf8.count - method.utf8.count <= 1 + Self.longestShape ? name : method
    }
}

extension ModelMembers {
    fileprivate var fileName: Text {
        guard request.form == .layer, case .layer(let layer)? = request.entries.first?.content else { return "model" }
        return layer.type
    }
}
