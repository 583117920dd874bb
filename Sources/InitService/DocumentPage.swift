internal import ByteText

/// A page to read.
struct DocumentPage {
    let html: [UInt8]

    /// A page made from a document of the repository.
    init(markdown: [UInt8], title: String) {
        self.init(title: title, body: Markdown(markdown).html)
    }

    /// A page of a heading, a paragraph and a link to the service's own page.
    ///
    /// - Parameters:
    ///   - text: Shown as it is, whatever it has.
    ///   - home: Path of the service's own page.
    init(title: String, text: String, home: Text) {
        let title = Markdown.escaped(title[...])
        self.init(
            title: title,
            body: """
                <h1>\(title)</h1>
                <p>\(Markdown.escaped(text[...]))</p>
                <p><a href="\(home)">weight-init: the page to try the service</a></p>

                """
        )
    }

    private init(title: String, body: String) {
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
            \(body)</main>
            </body>
            </html>

            """
        html = Array(page.utf8)
    }

    private static let style = """
        body { margin: 0; background: #f7f6f3; color: #1c2326; font: 16px/1.55 system-ui, sans-serif; }
        main { max-width: 44rem; margin: auto; padding: 2rem 1.25rem 4rem; }
        h1 { font-size: 1.5rem; } h2 { font-size: 1.0625rem; margin: 2rem 0 .25rem; } p, pre, table { margin: .5rem 0; }
        a { color: inherit; text-decoration-color: #79848b; text-underline-offset: .2em; }
        :target { background: #e6f0ef; outline: .4rem solid #e6f0ef; }
        code { font: .9em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
        pre { padding: .5rem .75rem; background: #ecebe6; white-space: pre-wrap; overflow-wrap: anywhere; }
        th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
        td:first-child { min-width: 7rem; }
        table { border-collapse: collapse; overflow-wrap: anywhere; } th { overflow-wrap: normal; } th:last-child, td:last-child { padding-right: 0; }
        tbody td { border-top: 1px solid #c9ced1; } .number { text-align: right; white-space: nowrap; }
        .numbers { overflow-x: auto; }
        ul { margin: .5rem 0; padding-left: 1.25rem; }
        @media (prefers-color-scheme: dark) {
          body { background: #12171a; color: #e7ebec; }
          :target { background: #1c2f30; outline-color: #1c2f30; }
          pre { background: #1b2226; } tbody td { border-color: #39434a; }
        }
        """
}
