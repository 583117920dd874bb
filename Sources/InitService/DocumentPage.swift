internal import ByteText

/// A page to read: headings, paragraphs and inline code.
struct DocumentPage {
    let html: [UInt8]

    /// A page made from a document of `docs`.
    ///
    /// - Parameter markdown: Headings begin with `# ` or `## `; empty lines end paragraphs. No lists, tables and links.
    init(markdown: [UInt8]) {
        let lines = String(decoding: markdown, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        var title = ""
        var body: [String] = []
        for block in lines.split(whereSeparator: \.isEmpty).flatMap(DocumentPage.blocks) {
            if block.hasPrefix("## ") {
                let name = DocumentPage.escaped(block.dropFirst(3))
                body.append("<h2 id=\"\(name)\"><a href=\"#\(name)\">\(name)</a></h2>")
            } else if block.hasPrefix("# ") {
                title = DocumentPage.escaped(block.dropFirst(2))
                body.append("<h1>\(title)</h1>")
            } else {
                body.append("<p>\(DocumentPage.inline(block))</p>")
            }
        }
        self.init(title: title, body: body)
    }

    /// A page of a heading, a paragraph and a link to the service's own page.
    ///
    /// - Parameters:
    ///   - text: Shown as it is, whatever it has.
    ///   - home: Path of the service's own page.
    init(title: String, text: String, home: Text) {
        let title = DocumentPage.escaped(title[...])
        self.init(
            title: title,
            body: [
                "<h1>\(title)</h1>", "<p>\(DocumentPage.escaped(text[...]))</p>",
                "<p><a href=\"\(home)\">weight-init: the page to try the service</a></p>",
            ]
        )
    }

    private init(title: String, body: [String]) {
        let page = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title) · weight-init</title>
            <style>\(DocumentPage.style)</style>
            </head>
            <body>
            <main>
            \(body.joined(separator: "\n"))
            </main>
            </body>
            </html>

            """
        html = Array(page.utf8)
    }

    /// Splits lines into headings and a paragraph. A heading ends with its line.
    private static func blocks(_ lines: ArraySlice<Substring>) -> [String] {
        let headings = lines.prefix { $0.hasPrefix("#") }
        let rest = lines.dropFirst(headings.count)
        return headings.map(String.init) + (rest.isEmpty ? [] : [rest.joined(separator: " ")])
    }

    /// HTML of text that has code between backquotes.
    private static func inline(_ text: String) -> String {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .map { $0.offset.isMultiple(of: 2) ? escaped($0.element) : "<code>\(escaped($0.element))</code>" }
            .joined()
    }

    private static func escaped(_ text: Substring) -> String {
        text.escaped(["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;"])
    }

    private static let style = """
        body { margin: 0; background: #f7f6f3; color: #1c2326; font: 16px/1.55 system-ui, sans-serif; }
        main { max-width: 44rem; margin: auto; padding: 2rem 1.25rem 4rem; }
        h1 { font-size: 1.5rem; } h2 { font-size: 1.0625rem; margin: 2rem 0 .25rem; } p { margin: .5rem 0; }
        a { color: inherit; text-decoration-color: #79848b; text-underline-offset: .2em; }
        :target { background: #e6f0ef; outline: .4rem solid #e6f0ef; }
        code { font: .9em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
        @media (prefers-color-scheme: dark) {
          body { background: #12171a; color: #e7ebec; }
          :target { background: #1c2f30; outline-color: #1c2f30; }
        }
        """
}
