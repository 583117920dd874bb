import Glibc
import HTTPExchange
import InitService
import WeightInit

/// Prints a JSON answer: as it is or, where a person is looking, as a table.
func show(_ answer: Answer) throws {
    guard case .bytes(let bytes) = try answer.body() else { return }
    if isatty(STDOUT_FILENO) == 1, let value = try? JSONValue(parsing: bytes) {
        print(Table.text(of: value), terminator: "")
    } else {
        print(String(decoding: bytes, as: UTF8.self))
    }
}

/// JSON in aligned lines: members as names and values, lists of objects as rows.
enum Table {
    private typealias Named = (name: String, value: JSONValue)

    static func text(of value: JSONValue) -> String {
        guard case .object(let members) = value else { return cell(value) + "\n" }
        let lines = flattened(members)
        let lists = members.compactMap { member in objects(in: member.value) }
        let parts = (lines.isEmpty ? [] : [aligned(lines.map { [$0.name, cell($0.value)] })]) + lists.map(rows)
        return parts.joined(separator: "\n")
    }

    /// The members that are no lists of objects; those of objects by the way to them.
    private static func flattened(
        _ members: [JSONValue.Member],
        within prefix: String = ""
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

    /// The objects of a list that has nothing else, and at least one.
    private static func objects(in value: JSONValue) -> [[Named]]? {
        guard case .array(let elements) = value, !elements.isEmpty else { return nil }
        let objects = elements.compactMap { element -> [Named]? in
            if case .object(let members) = element { flattened(members) } else { nil }
        }
        return objects.count == elements.count ? objects : nil
    }

    /// A line for each object, under the names of the members. What all of them share stands above.
    private static func rows(_ objects: [[Named]]) -> String {
        var names: [String] = []
        for member in objects.joined() where !names.contains(member.name) { names.append(member.name) }
        let columns = names.map { name in
            [name] + objects.map { members in members.first { $0.name == name }.map { cell($0.value) } ?? "" }
        }
        let isShared = columns.map { column in objects.count > 1 && Set(column.dropFirst()).count == 1 }
        let shared = zip(columns, isShared).filter(\.1).map { column, _ in ["all " + column[0], column[1]] }
        let others = zip(columns, isShared).filter { !$0.1 }.map(\.0)
        let lines = (0...objects.count).map { line in others.map { $0[line] } }
        return (shared.isEmpty ? "" : aligned(shared) + "\n") + aligned(lines)
    }

    private static func cell(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .null: "–"
        default: value.encodedText
        }
    }

    /// Rows of cells as lines of columns.
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
