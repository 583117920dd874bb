import ByteText
import Glibc
import InitAPI
import WeightInit

/// Prints a JSON answer, as a table on a terminal.
func show(_ answer: Answer) throws {
    guard let value = try answer.document()?.value else { return }
    if isatty(STDOUT_FILENO) == 1 {
        print(Table.text(of: value), terminator: "")
    } else {
        print(value.encodedText)
    }
}

/// JSON as aligned text: members as lines, lists of objects as rows.
enum Table {
    private typealias Named = (name: Text, value: JSONValue)

    static func text(of value: JSONValue) -> String {
        guard case .object(let members) = value else { return cell(value) + "\n" }
        let lines = flattened(members)
        let lists = members.compactMap { member in objects(in: member.value) }
        let parts =
            (lines.isEmpty ? [] : [aligned(lines.map { [$0.name.description, cell($0.value)] })]) + lists.map(rows)
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

    /// The objects of a nonempty list of objects alone.
    private static func objects(in value: JSONValue) -> [[Named]]? {
        guard case .array(let elements) = value, !elements.isEmpty else { return nil }
        let objects = elements.compactMap { element -> [Named]? in
            if case .object(let members) = element { flattened(members) } else { nil }
        }
        return objects.count == elements.count ? objects : nil
    }

    /// A line for each object below a line of names. Values that all objects share stand above.
    private static func rows(_ objects: [[Named]]) -> String {
        var names: [Text] = []
        for member in objects.joined() where !names.contains(member.name) { names.append(member.name) }
        let columns = names.map { name in
            [name.description]
                + objects.map { members in members.first { $0.name == name }.map { cell($0.value) } ?? "" }
        }
        let isShared = columns.map { column in objects.count > 1 && Set(column.dropFirst()).count == 1 }
        let shared = zip(columns, isShared).filter(\.1).map { column, _ in ["all " + column[0], column[1]] }
        let others = zip(columns, isShared).filter { !$0.1 }.map(\.0)
        let lines = (0...objects.count).map { line in others.map { $0[line] } }
        return (shared.isEmpty ? "" : aligned(shared) + "\n") + aligned(lines)
    }

    private static func cell(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text.description
        case .null: "–"
        default: value.encodedText.description
        }
    }

    /// Rows of cells, padded to columns.
    static func aligned(_ rows: [[String]]) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            let line = cells.joined(separator: "  ")
            return line.prefix(line.count - line.reversed().prefix { $0 == " " }.count) + "\n"
        }.joined()
    }
}
