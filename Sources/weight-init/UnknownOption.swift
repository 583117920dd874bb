import ArgumentParser
import ByteText
import WeightInit

/// An option that its command does not have. The parser's own suggestion is the option with the fewest other letters,
/// `--port` for `--cors`.
struct UnknownOption {
    /// The option with its hyphens, as it was given.
    private let name: Text
    /// The command; `nil` before the name of a subcommand.
    private let command: (any ParsableCommand.Type)?

    /// - Parameters:
    ///   - words: The subcommand's name and the words after it.
    ///   - message: The parser's message about these words.
    /// - Returns: `nil` if the message is about something else.
    init?(in words: [Text], refusedWith message: Text) {
        let options = words.filter { $0.hasPrefix("-") }.map { $0.split(separator: "=", maxSplits: 1)[0] }
        guard let name = options.first(where: { message.hasPrefix("Unknown option '\($0)'") }) else { return nil }
        self.name = name
        command = Self.subcommands.first { Text($0._commandName) == words.first }
    }

    /// The parser's message without its suggestion.
    var message: String { "Unknown option '\(name)'" }

    /// Options that are likely meant, otherwise the subcommands that have this option; `nil` if there are none.
    var hint: String? {
        let known = Self.options(of: command ?? WeightInitCommand.self)
        let word = Text(decoding: Array(name.utf8.drop { $0 == UInt8(ascii: "-") }))
        // A single letter is its own name.
        let likely =
            word.byteCount < 2
            ? [] : SimilarOptions.likely(for: word, among: known.compactMap { $0.removing(prefix: "--") })
        guard likely.isEmpty else { return "did you mean \(likely.map { "--\($0)" }.joined(separator: " or "))?" }
        let others = Self.subcommands.filter { Self.options(of: $0).contains(name) }.map { $0._commandName }
        guard let last = others.last else { return nil }
        let names = others.count > 1 ? "\(others.dropLast().joined(separator: ", ")) and \(last)" : last
        return "\(name) is an option of \(names)" + (command == nil ? ", and follows the name of the subcommand" : "")
    }

    private static var subcommands: [any ParsableCommand.Type] { WeightInitCommand.configuration.subcommands }

    /// The options of a command, with their hyphens, as its help lists them: `  -o, --output <file>`.
    private static func options(of command: any ParsableCommand.Type) -> [Text] {
        WeightInitCommand.helpMessage(for: command).split(separator: "\n").filter { $0.hasPrefix("  -") }
            .flatMap { line in
                line.split(separator: " ").prefix { $0.hasPrefix("-") }.map { Text($0.filter { $0 != "," }) }
            }
    }
}
