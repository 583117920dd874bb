import WeightInit

/// A member of a question, as a person is offered it.
package struct QuestionMember: Sendable {
    package var name: String
    package var aliases: [String] = []
    /// The words it may be, where it is one of some.
    package var words: [String] = []
    /// Whether it is `true` or left out.
    package var isFlag = false
    package var summary: String
}

extension Question {
    /// What may be given, from the tables that decode it.
    package var members: [QuestionMember] {
        switch self {
        case .gain: MemberTable.gain.map(QuestionMember.init)
        case .fan: MemberTable.fan.map(QuestionMember.init)
        case .initialize, .explain:
            MemberTable.formattedTensor.map(QuestionMember.init) + Question.parameters
        }
    }

    /// The parameters of all methods, each name once.
    private static var parameters: [QuestionMember] {
        var members: [QuestionMember] = []
        for parameter in InitMethod.all.flatMap(\.parameters)
        where !members.contains(where: { $0.name == parameter.name }) {
            var member = QuestionMember(Member(parameter))
            member.summary = summary(ofParameter: parameter.name)
            members.append(member)
        }
        return members
    }

    /// What a parameter is to the methods that have it: `lower bound (uniform: 0, trunc_normal: -2)`.
    private static func summary(ofParameter name: String) -> String {
        var meanings: [(summary: String, owners: [String])] = []
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

extension QuestionMember {
    fileprivate init(_ member: Member) {
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
        if let text = member.defaultValue?.queryText, !text.isEmpty, !isFlag { summary += " (default: \(text))" }
    }
}
