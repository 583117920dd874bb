import ArgumentParser
import ByteText
import InitAPI
import Settings

/// An option of a command, as a row of a table.
struct OptionRow {
    var names: [String]
    var help: String
    /// The accepted values, if there is a list.
    var words: [String] = []
    var isFile = false
    /// `true` for an option without a value, which means `true`.
    var isFlag = false
}

/// The options that a command takes from a table.
protocol OptionTable {
    static var rows: [OptionRow] { get }
}

/// Options from the rows of a table: a new row is a new option, with its help and its completion.
///
/// The parser finds options by reflection and reads them through `Decodable`; both go through the table here.
struct TableOptions<Table: OptionTable>: ParsableArguments, CustomReflectable {
    /// Names and values of the options that were given, under the first name of each.
    private(set) var given: [(name: Text, text: Text)] = []

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for row in Table.rows {
            let key = Key(stringValue: row.names[0])
            if row.isFlag {
                let flag = try container.decode(Flag<Bool>.self, forKey: key)
                if flag.wrappedValue { given.append((Text(row.names[0]), "true")) }
            } else {
                let option = try container.decode(Option<String?>.self, forKey: key)
                if let text = option.wrappedValue { given.append((Text(row.names[0]), Text(text))) }
            }
        }
    }

    var customMirror: Mirror {
        Mirror(self, children: Table.rows.map { (label: $0.names[0], value: $0.option) })
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

extension OptionRow {
    fileprivate var option: Any {
        let specification = NameSpecification(names.map { .customLong($0) })
        let argumentHelp = ArgumentHelp(.init(stringLiteral: help), valueName: names[0])
        if isFlag { return Flag(wrappedValue: false, name: specification, help: argumentHelp) }
        // The next word is always the value: numbers can be negative.
        return Option<String?>(
            name: specification,
            parsing: .unconditional,
            help: argumentHelp,
            completion: isFile ? .file() : words.isEmpty ? nil : .list(words)
        )
    }

    init(_ member: OfferedMember) {
        self.init(
            names: ([member.name] + member.aliases).map(\.description),
            help: member.summary,
            words: member.words.map(\.description),
            isFlag: member.isFlag
        )
    }

    /// - Parameter values: The defaults.
    init<Values>(_ setting: Setting<Values>, in values: Values) {
        let notes = [setting.accepted, setting.text(in: values).map { "default: " + $0 }].compactMap { $0 }
        self.init(
            names: [setting.name],
            help: setting.help + (notes.isEmpty ? "" : " (" + notes.joined(separator: "; ") + ")"),
            words: setting.choices,
            isFile: setting.isFile
        )
    }
}
