/// HTML of the Markdown that the embedded documents use: headings, paragraphs, lists with asterisks, tables, fenced
/// code and comments; in a line, code, bold text and links. Everything else is text, and all text is escaped.
struct Markdown {
    /// URLs of the documents that the service has, by the paths that links name. A link to another document is text,
    /// and so is an image.
    private static let served = ["docs/problems.md": "problems", "openapi.yaml": "../openapi.yaml"]

    private var lines: ArraySlice<Substring>
    private(set) var html = ""

    init(_ markdown: [UInt8]) {
        lines = String(decoding: markdown, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)[...]
        while let line = lines.first { append(from: line) }
    }

    // MARK: Blocks

    private enum Block {
        case nothing, comment, heading, code, table, list, paragraph

        /// Characters that a block's first line begins with.
        private static let marks: KeyValuePairs<String, Block> = [
            "<!--": .comment, "#": .heading, "```": .code, "|": .table, "* ": .list,
        ]

        init(beginningWith line: Substring) {
            self = line.isEmpty ? .nothing : Block.marks.first { line.hasPrefix($0.key) }?.value ?? .paragraph
        }
    }

    /// Appends the block that begins with a line, and removes its lines.
    private mutating func append(from line: Substring) {
        lines.removeFirst()
        switch Block(beginningWith: line) {
        case .nothing:
            break
        case .comment:
            guard !line.hasSuffix("-->") else { break }
            _ = take { !$0.hasSuffix("-->") }
            lines = lines.dropFirst()
        case .heading:
            appendHeading(line)
        case .code:
            let code = take { !$0.hasPrefix("```") }
            lines = lines.dropFirst()
            html += "<pre><code>\(Self.escaped(code.joined(separator: "\n")[...]))</code></pre>\n"
        case .table:
            appendTable([line] + take { $0.hasPrefix("|") })
        case .list:
            var items = [String(line.dropFirst(2))]
            for line in take(while: { $0.hasPrefix("* ") || $0.hasPrefix("  ") }) {
                let text = String(line.dropFirst(2))
                if line.hasPrefix("*") { items.append(text) } else { items[items.count - 1] += " " + text }
            }
            html += "<ul>\(items.map { "<li>\(Self.inline($0[...]))</li>" }.joined())</ul>\n"
        case .paragraph:
            let more = take { Block(beginningWith: $0) == .paragraph }
            html += "<p>\(Self.inline(([line] + more).joined(separator: " ")[...]))</p>\n"
        }
    }

    /// Removes the lines at the front that meet a condition.
    private mutating func take(while condition: (Substring) -> Bool) -> [Substring] {
        let taken = lines.prefix(while: condition)
        lines = lines.dropFirst(taken.count)
        return Array(taken)
    }

    private mutating func appendHeading(_ line: Substring) {
        let level = line.prefix { $0 == "#" }.count
        let text = line.dropFirst(level + 1)
        guard level > 1 else {
            html += "<h1>\(Self.inline(text))</h1>\n"
            return
        }
        // As GitHub names headings, for links to them.
        let name = text.lowercased().filter { $0.isLetter || $0.isNumber || "_- ".contains($0) }
            .map { $0 == " " ? "-" : String($0) }.joined()
        html += "<h\(level) id=\"\(name)\"><a href=\"#\(name)\">\(Self.inline(text))</a></h\(level)>\n"
    }

    private mutating func appendTable(_ rows: [Substring]) {
        let cells = rows.map { row in
            row.dropFirst().split(separator: "|", omittingEmptySubsequences: false).dropLast()
                .map { $0.split(separator: " ").joined(separator: " ") }
        }
        let alignments = cells.dropFirst().first ?? []
        func row(_ cells: [String], _ tag: String) -> String {
            let row = cells.enumerated().map { column, cell in
                // A heading must not be empty.
                let tag = cell.isEmpty ? "td" : tag
                let isNumber = alignments.indices.contains(column) && alignments[column].hasSuffix(":")
                return "<\(tag)\(isNumber ? " class=\"number\"" : "")>\(Self.inline(cell[...]))</\(tag)>"
            }
            return "<tr>\(row.joined())</tr>"
        }
        // A table without names of columns has no cells that name them.
        let head = cells[0].allSatisfy(\.isEmpty) ? "" : "<thead>\(row(cells[0], "th"))</thead>"
        let table = "<table>\(head)<tbody>\(cells.dropFirst(2).map { row($0, "td") }.joined())</tbody></table>"
        // Numbers do not wrap: on a narrow screen, the table scrolls in a box, which the keyboard can reach.
        let box = #"<div class="numbers" role="group" aria-label="Table of numbers" tabindex="0">"#
        html += alignments.contains { $0.hasSuffix(":") } ? "\(box)\(table)</div>\n" : table + "\n"
    }

    // MARK: Lines

    private static func inline(_ text: Substring) -> String {
        var html = ""
        var rest = text
        while let start = rest.firstIndex(where: { "`*![<".contains($0) }) {
            html += escaped(rest[..<start])
            rest = rest[start...]
            if let (element, after) = element(at: rest) {
                html += element
                rest = after
            } else {
                html += escaped(rest.prefix(1))
                rest = rest.dropFirst()
            }
        }
        return html + escaped(rest)
    }

    /// The element that a text begins with, and the text behind the element.
    private static func element(at text: Substring) -> (html: String, rest: Substring)? {
        if let (code, rest) = text.enclosed("`", "`") { return ("<code>\(escaped(code))</code>", rest) }
        if let (bold, rest) = text.enclosed("**", "**") { return ("<strong>\(inline(bold))</strong>", rest) }
        if text.hasPrefix("<http"), let (url, rest) = text.enclosed("<", ">") {
            return ("<a href=\"\(escaped(url))\">\(escaped(url))</a>", rest)
        }
        let isImage = text.hasPrefix("!")
        guard let (label, behind) = text.enclosed(isImage ? "![" : "[", "]"),
            let (target, rest) = behind.enclosed("(", ")")
        else { return nil }
        if isImage { return ("<em>\(escaped(label))</em>", rest) }
        return (url(of: target).map { "<a href=\"\(escaped($0[...]))\">\(inline(label))</a>" } ?? inline(label), rest)
    }

    /// The URL for the target of a link; `nil` if the service does not have the target.
    private static func url(of target: Substring) -> String? {
        if ["#", "https://", "http://"].contains(where: target.hasPrefix) { return String(target) }
        let path = target.prefix { $0 != "#" }
        return served[String(path)].map { $0 + target.dropFirst(path.count) }
    }

    static func escaped(_ text: Substring) -> String {
        text.escaped(["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;"])
    }
}

extension Substring {
    /// The text between two marks at the front, and the text behind them.
    fileprivate func enclosed(_ opening: String, _ closing: String) -> (inside: Substring, rest: Substring)? {
        guard hasPrefix(opening) else { return nil }
        let parts = dropFirst(opening.count).split(separator: closing, maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 ? (parts[0], parts[1]) : nil
    }
}
