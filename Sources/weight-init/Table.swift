import ArgumentParser
import ByteText
import Glibc
import InitAPI
import WeightInit

/// Forms in which commands print an answer.
enum PrintForm: String, CaseIterable, ExpressibleByArgument {
    case table, json
}

/// The option that sets the form of an answer.
struct PrintOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Form of the output; without it, a table on a terminal and JSON elsewhere.",
            valueName: "form"
        ),
        completion: .list(PrintForm.allCases.map(\.rawValue))
    )
    var format: PrintForm?
}

/// Prints a JSON answer, as a table on a terminal.
func show(_ answer: Answer, as form: PrintForm? = nil) throws {
    guard let value = try answer.document()?.value else { return }
    try show(value, as: form) { Table.text(of: value, $0) }
}

/// Prints JSON, or the table of it.
func show(_ value: JSONValue, as form: PrintForm?, table: (TextStyle) -> String) throws(Failure) {
    let screen = Screen.output
    switch form ?? (screen.isTerminal ? .table : .json) {
    case .table: try StandardOutput.write(table(TextStyle(isColoured: screen.isColoured)))
    case .json: try StandardOutput.writeLine(value.encodedText.description)
    }
}

/// JSON as aligned text: members as lines, lists of objects as rows.
enum Table {
    private typealias Named = (name: Text, value: JSONValue)

    static func text(of value: JSONValue, _ style: TextStyle) -> String {
        guard case .object(let members) = value else { return cell(value) + "\n" }
        let lines = flattened(members)
        let lists = members.compactMap { member in objects(in: member.value) }
        let parts =
            (lines.isEmpty ? [] : [aligned(lines.map { [printable($0.name), cell($0.value)] })])
            + lists.map { rows($0, style) }
        return parts.joined(separator: "\n")
    }

    /// Members other than lists of objects; members of objects have dotted names.
    private static func flattened(
        _ members: [JSONValue.Member],
        within prefix: Text = ""
    ) -> [Named] {
        members.flatMap { member -> [Named] in
            let name = prefix + member.name
            switch member.value {
            case .object(let inner): return flattened(inner, within: name + ".")
            case .array where objects(in: member.value) != nil: return []
            default: return [(name, member.value)]
            }
        }
    }

    /// The objects of a list that has at least one and nothing else; else `nil`.
    private static func objects(in value: JSONValue) -> [[Named]]? {
        guard case .array(let elements) = value, !elements.isEmpty else { return nil }
        let objects = elements.compactMap { element -> [Named]? in
            if case .object(let members) = element { flattened(members) } else { nil }
        }
        return objects.count == elements.count ? objects : nil
    }

    /// A line for each object below a line of names. Values that all objects share stand above.
    private static func rows(_ objects: [[Named]], _ style: TextStyle) -> String {
        var names: [Text] = []
        for member in objects.joined() where !names.contains(member.name) { names.append(member.name) }
        let columns = names.map { name in
            [printable(name)]
                + objects.map { members in members.first { $0.name == name }.map { cell($0.value) } ?? "" }
        }
        let isShared = columns.map { column in objects.count > 1 && Set(column.dropFirst()).count == 1 }
        let shared = zip(columns, isShared).filter(\.1).map { column, _ in ["all " + column[0], column[1]] }
        let others = zip(columns, isShared).filter { !$0.1 }.map(\.0)
        let lines = (0...objects.count).map { line in others.map { $0[line] } }
        return (shared.isEmpty ? "" : aligned(shared) + "\n") + aligned(lines, headedIn: style)
    }

    /// A value in a cell, without control characters, which a terminal could take for commands.
    static func cell(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): printable(text)
        case .null: "–"
        default: printable(value.encodedText)
        }
    }

    static func printable(_ text: Text) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 >= 0x7f }) else { return text.description }
        var printable = ""
        for scalar in text.description.unicodeScalars {
            printable.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{fffd}" : scalar)
        }
        return printable
    }

    /// Rows of cells, padded to columns.
    ///
    /// - Parameters:
    ///   - style: Style of the first row, if that is a heading.
    ///   - columns: Width at which the last cell of a row is broken into lines at spaces; `nil` for no limit.
    ///   - numbers: Indices of the columns that are aligned at the right.
    static func aligned(
        _ rows: [[String]],
        headedIn style: TextStyle? = nil,
        within columns: Int? = nil,
        numbers: Range<Int> = 0..<0
    ) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        let indent = widths.dropLast().reduce(0) { $0 + $1 + 2 }
        return rows.enumerated().map { index, row in
            var cells = zip(row, widths).enumerated().map { column, cell in
                let padding = String(repeating: " ", count: cell.1 - cell.0.count)
                return numbers.contains(column) ? padding + cell.0 : cell.0 + padding
            }
            if let columns, cells.count == count, let last = row.last {
                // A column too narrow for words gets 20 characters.
                let lines = broken(last, to: max(columns - indent, 20))
                cells[count - 1] = lines.joined(separator: "\n" + String(repeating: " ", count: indent))
            }
            let line = withoutSpacesAtEnd(cells.joined(separator: "  "))
            return (index == 0 ? style?.heading(line) ?? line : line) + "\n"
        }.joined()
    }

    private static func withoutSpacesAtEnd(_ line: String) -> String {
        String(line.prefix(line.count - line.reversed().prefix { $0 == " " }.count))
    }

    /// Lines of words, each of at most `columns` characters unless a single word is longer.
    private static func broken(_ text: String, to columns: Int) -> [String] {
        var lines: [String] = []
        var count = 0
        for word in text.split(separator: " ") {
            if let last = lines.last, count + 1 + word.count <= columns {
                lines[lines.count - 1] = last + " " + word
                count += 1 + word.count
            } else {
                lines.append(String(word))
                count = word.count
            }
        }
        return lines.isEmpty ? [""] : lines
    }
}
