package import ByteText
import WeightInit

/// A member of a request, as the command line offers it.
package struct OfferedMember: Sendable {
    package var name: Text
    package var aliases: [Text] = []
    /// The accepted words, if the value is one of a list.
    package var words: [Text] = []
    /// `true` for a flag without a value.
    package var isFlag = false
    package var summary: String
}

extension OfferedMember {
    /// Members of a request for one tensor, from the tables that decode it.
    static var ofTensor: [OfferedMember] {
        MemberTable.askedTensor.map(OfferedMember.init) + parameters
    }

    /// Members of a request for a model that choose which tensors are sent, and how.
    package static var ofModel: [OfferedMember] {
        [MemberTable.cast, MemberTable.include, MemberTable.slices].map(OfferedMember.init)
    }

    /// The parameters of all methods, each name once.
    private static var parameters: [OfferedMember] {
        var members: [OfferedMember] = []
        for parameter in InitMethod.all.flatMap(\.parameters) {
            var member = OfferedMember(Member(parameter))
            if let known = members.firstIndex(where: { $0.name == parameter.name }) {
                members[known].words += member.words.filter { !members[known].words.contains($0) }
                continue
            }
            member.summary = summary(ofParameter: parameter.name)
            members.append(member)
        }
        return members
    }

    /// Help of a parameter for the methods that have it: `lower bound (uniform: 0, trunc_normal: -2)`.
    private static func summary(ofParameter name: Text) -> String {
        var meanings: [(summary: String, owners: [Text])] = []
        for method in InitMethod.all {
            guard let parameter = method.parameters.first(where: { $0.name == name }) else { continue }
            let known = parameter.defaultValue.flatMap { $0 == .null ? nil : $0.queryText }
            let owner = method.name + (known.map { ": " + $0 } ?? "")
            if let index = meanings.firstIndex(where: { $0.summary == parameter.summary }) {
                meanings[index].owners.append(owner)
            } else {
                meanings.append((parameter.summary, [owner]))
            }
        }
        return meanings.map { $0.summary + " (" + $0.owners.joined(separator: ", ") + ")" }.joined(separator: "; ")
    }
}

extension OfferedMember {
    init(_ member: Member) {
        name = member.name
        aliases = member.aliases
        summary = member.summary
        switch member.kind {
        case .parameter(.choice(let choices, _)): words = choices
        case .parameter(.gain): words = Nonlinearity.all.map(\.name)
        case .parameter(.boolean): isFlag = true
        case .word where name == MemberTable.method.name: words = InitMethod.all.map(\.name)
        // The only other word is the activation of /gain.
        case .word: words = Nonlinearity.all.map(\.name)
        case .parameter, .shape, .seed, .slice, .structure: break
        }
        if let text = member.defaultText, !text.isEmpty, !isFlag { summary += " (default: \(text))" }
    }
}
