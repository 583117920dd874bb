import Glibc

/// A stream that may be a terminal.
struct Screen {
    let descriptor: Int32

    static let output = Screen(descriptor: STDOUT_FILENO)
    static let errors = Screen(descriptor: STDERR_FILENO)

    /// `true` if the stream is a terminal.
    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// `true` if the stream is a terminal that takes escape sequences.
    ///
    /// `TERM` decides: if it is unset, empty or `dumb`, the terminal shows text only.
    var takesEscapes: Bool {
        isTerminal && !["", "dumb"].contains(environmentVariable("TERM") ?? "")
    }

    /// `true` if text may be coloured: the terminal can show colours, and `NO_COLOR` is unset or empty (no-color.org).
    var isColoured: Bool {
        takesEscapes && (environmentVariable("NO_COLOR") ?? "").isEmpty
    }

    /// Columns of the terminal; `nil` if the stream is not a terminal or does not report them.
    var columns: Int? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}

/// Styles of text on a terminal, as escape sequences (ECMA-48, SGR).
struct TextStyle {
    let isColoured: Bool

    func heading(_ text: String) -> String { styled(text, "1") }
    func bar(_ text: String) -> String { styled(text, "36") }
    func alarm(_ text: String) -> String { styled(text, "31") }

    private func styled(_ text: String, _ parameters: String) -> String {
        isColoured && !text.isEmpty ? "\u{1b}[\(parameters)m\(text)\u{1b}[0m" : text
    }
}

func environmentVariable(_ name: String) -> String? {
    // Copied at once; nothing here changes the environment.
    getenv(name).map { String(cString: $0) }
}
