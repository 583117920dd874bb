internal import ByteText
import TensorFormats
import WeightInit

/// A tensor, a layer's parameters or a model's in one of the formats.
struct InitQuestion: Question {
    private let members: InitMembers

    init(_ members: RequestMembers) throws(InitError) {
        self.members = try InitMembers(members)
    }

    func answer(_ asking: Asking) throws(InitError) -> Answer? {
        guard let plan = try members.plan(asking) else { return nil }
        let format = try members.format(by: asking.preference)
        var answer = try PlannedAnswer(members, plan, asking.context).answer(in: format)
        answer.url = { [members] in members.url($0, format) }
        answer.fileName = members.fileName(in: format)
        return answer
    }
}

extension InitMembers {
    /// Method and shape of a tensor: `kaiming_normal-64x3x7x7.npy`; the type of a layer; `model`.
    fileprivate func fileName(in format: TensorFormat) -> Text {
        let name: Text =
            switch self {
            case .tensor(let members): members.fileName
            case .model(let members): members.fileName
            }
        return name + "." + Text(format.extensions.first ?? "json")
    }

    /// The format asked for, or the one that is most welcome.
    ///
    /// - Throws: `notOffered` if there is none that is acceptable and that can hold what is asked for.
    func format(by preference: any MediaPreference) throws(InitError) -> TensorFormat {
        lazy var able = TensorFormat.all.filter { objection(to: $0) == nil }
        if let named = format {
            guard let objection = objection(to: named) else { return named }
            throw InitError(.notOffered, ["format"], objection, allowed: able.map(\.name))
        }
        // A summary can only be asked for by name: its media type is that of the numbers.
        let offers = able.filter { $0 != .summary }
        if let best = preference.preferred(among: offers, mediaType: \.mediaType) { return best }
        let wanted = preference.preferred(among: TensorFormat.all, mediaType: \.mediaType)
        throw InitError(
            .notOffered,
            [],
            wanted.flatMap(objection) ?? "none of the media types offered is acceptable",
            allowed: offers.map { Text($0.mediaType) }
        )
    }
}

extension TensorMembers {
    /// Longest shape in a name, in bytes: file systems take names of 255.
    private static let longestShape = 100

    fileprivate var fileName: Text {
        let shape = Text(request.shape.dimensions.map(String.init).joined(separator: "x"))
        let isShort = !shape.isEmpty && shape.byteCount <= Self.longestShape
        return (request.method?.name ?? "tensor") + (isShort ? "-" + shape : "")
    }
}

extension ModelMembers {
    fileprivate var fileName: Text {
        guard request.form == .layer, case .layer(let layer)? = request.entries.first?.content else { return "model" }
        return layer.type
    }
}
