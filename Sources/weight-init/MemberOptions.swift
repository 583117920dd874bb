import ArgumentParser
import InitService

/// What a command asks for.
protocol Asking {
    /// The members that are options of the command.
    static var options: [QuestionMember] { get }
}

/// The members of a request as options, one for each row of the tables that decode it: what is added to a table is an
/// option here, with its help and its completion.
///
/// The parser finds options by reflection, and reads them through `Decodable`; here both go through the table.
struct MemberOptions<Asked: Asking>: ParsableArguments, CustomReflectable {
    /// Those that were given, as a query would hold them.
    private(set) var given: [(name: String, text: String)] = []

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for member in Asked.options {
            let key = Key(stringValue: member.name)
            if member.isFlag {
                let flag = try container.decode(Flag<Bool>.self, forKey: key)
                if flag.wrappedValue { given.append((member.name, "true")) }
            } else {
                let option = try container.decode(Option<String?>.self, forKey: key)
                if let text = option.wrappedValue { given.append((member.name, text)) }
            }
        }
    }

    var customMirror: Mirror {
        Mirror(self, children: Asked.options.map { (label: $0.name, value: $0.option) })
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) {
            self.stringValue = stringValue
        }

        init?(intValue: Int) { nil }
    }
}

extension QuestionMember {
    fileprivate var option: Any {
        let names = NameSpecification(([name] + aliases).map { .customLong($0) })
        let help = ArgumentHelp(.init(stringLiteral: summary), valueName: name)
        if isFlag { return Flag(wrappedValue: false, name: names, help: help) }
        // Whatever follows is the value: numbers can be negative.
        return Option<String?>(
            name: names,
            parsing: .unconditional,
            help: help,
            completion: words.isEmpty ? nil : .list(words)
        )
    }
}
