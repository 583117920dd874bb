internal import ByteText
import TensorFormats
import WeightInit

/// A request to `/init` or `/explain`, decoded: for one tensor, or for a layer, a model or a list of tensors.
enum InitMembers: Sendable {
    case tensor(TensorMembers)
    indirect case model(ModelMembers)

    init(_ members: RequestMembers) throws(InitError) {
        do throws(InitError) {
            let isModel = ModelMembers.describes(members)
            self = isModel ? .model(try ModelMembers(members)) : .tensor(try TensorMembers(members))
        } catch {
            // The path alone: no request has a member of this name.
            guard error.path == ["model"] else { throw error }
            var error = error
            error.detail += "; models of the catalogue are at /models/{org}/{name}, and /models lists them"
            throw error
        }
    }

    var seed: Seed {
        switch self {
        case .tensor(let members): members.seed
        case .model(let members): members.seed
        }
    }

    /// Set if the request names a format.
    var format: TensorFormat? {
        switch self {
        case .tensor(let members): members.format
        case .model(let members): members.format
        }
    }

    func plan(_ limits: Limits, isCancelled: @escaping () -> Bool = { false }) throws(InitError) -> Plan {
        switch self {
        case .tensor(let members): try Plan(members.request, seed: members.seed, limits: limits)
        case .model(let members):
            try Plan(members.request, seed: members.seed, limits: limits, isCancelled: isCancelled)
        }
    }

    /// The request as JSON, written in the one way that all its spellings share; without the format.
    var canonical: JSONValue {
        switch self {
        case .tensor(let members): members.canonical.json
        case .model(let members): members.canonical
        }
    }

    /// The canonical request as JSON text.
    var canonicalText: Text {
        switch self {
        case .tensor(let members): members.canonical.encodedText
        case .model(let members): members.canonical.encodedText
        }
    }

    /// The canonical request without its slices and, for one tensor, without its cast. Requests that differ only in
    /// these draw the same tensors.
    var canonicalDraws: JSONValue {
        switch self {
        case .tensor(let members): members.canonical.removing(MemberTable.slice).removing(MemberTable.cast).json
        case .model(let members): .object(members.canonicalDraws)
        }
    }

    /// The canonical URL, relative to the service.
    ///
    /// - Parameter withDigest: `true` to ask for the digest of the body as well.
    func url(_ path: Text, _ format: TensorFormat?, withDigest: Bool = false) -> Text {
        var words: [(member: Member, word: Text)] = []
        if let format { words.append((MemberTable.format, format.name)) }
        if withDigest { words.append((MemberTable.digest, "sha256")) }
        switch self {
        case .tensor(let members):
            return words.reduce(members.canonical) { $0.appending($1.member, .text($1.word)) }.url(path)
        case .model(let members):
            guard case .object(var json) = members.canonical else { return path }
            for (member, word) in words { json.append(member.name, .string(word)) }
            return path + "?request=" + PercentEncoding.encodeQueryComponent(JSONValue.object(json).encodedText)
        }
    }

    /// The reason why the tensors cannot be written in a format; `nil` if they can.
    func objection(to format: TensorFormat) -> String? {
        switch self {
        case .tensor(let members): format.objection(to: members.request.cast ?? members.request.dtype)?.description
        case .model: format.holdsOneTensorOnly ? "\(format.name) holds one tensor only" : nil
        }
    }
}
