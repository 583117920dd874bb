import ByteText
import InitAPI
import TorchRandom
import WeightInit

/// Hints for options that should be arguments, and for arguments that should be options. The parser says only that it
/// does not expect them.
enum Misplaced {
    /// Names of the arguments of subcommands, in their order.
    private static let positions: [Text: [Text]] = [
        "fan": ["shape"], "gain": ["nonlinearity", "param"], "methods": ["list"],
    ]

    /// Text to write instead; `nil` if nothing is misplaced.
    ///
    /// - Parameters:
    ///   - words: The subcommand's name and the words after it.
    ///   - message: The parser's message about these words.
    static func hint(for words: [Text], refusedWith message: Text) -> String? {
        guard let command = words.first else { return nil }
        if message.contains("nexpected argument") { return options(for: words.dropFirst(), of: command) }
        return positions[command].flatMap { argument(of: command, $0, words.dropFirst()) }
    }

    /// The hint if an argument is written as an option, such as `--shape 64,3` for `64,3`.
    private static func argument(of command: Text, _ names: [Text], _ words: ArraySlice<Text>) -> String? {
        var values: [Text: Text] = [:]
        var name: Text?
        for word in words {
            if let pending = name {
                values[pending] = word
                name = nil
            } else if let option = word.removing(prefix: "--") {
                let parts = option.split(separator: "=", maxSplits: 1)
                guard let meant = Suggestion(for: parts[0], among: names).likely.first else { continue }
                if parts.count > 1 { values[meant] = parts[1] } else { name = meant }
            }
        }
        if let name { values[name] = "<\(name)>" }
        guard let last = names.lastIndex(where: { values[$0] != nil }) else { return nil }
        let written = names[...last].map { values[$0] ?? "<\($0)>" }
        let subject = names[...last].joined(separator: " and ") + (last == 0 ? " is an argument" : " are arguments")
        return "\(subject): weight-init \(([command] + written).joined(separator: " "))"
    }

    /// The hint if values stand without their options; `nil` if they look like values of none.
    private static func options(for words: ArraySlice<Text>, of command: Text) -> String? {
        // A word after an option without = is the option's value.
        let alone = zip([command] + words, words).filter { before, word in
            !word.hasPrefix("-") && (!before.hasPrefix("--") || before.contains("=" as Unicode.Scalar))
        }.map(\.1)
        if command == "models", let name = alone.first { return "write weight-init explain --model-name \(name)" }
        let options = alone.compactMap { word in option(for: word, of: command).map { "--\($0) \(word)" } }
        return options.isEmpty ? nil : "write \(options.joined(separator: " "))"
    }

    private static func option(for value: Text, of command: Text) -> String? {
        let isNumber = Int(value.description) != nil
        switch command {
        case "init", "explain":
            if InitMethod.named(value) != nil { return "method" }
            if value.hasSuffix(".json") { return "model" }
            if ModelCatalogue()[value] != nil { return "model-name" }
            return isNumber || value.contains("," as Unicode.Scalar) ? "shape" : nil
        case "serve", "health": return isNumber ? "port" : nil
        case "verify": return Kernels.names.contains { Text($0) == value } ? "kernel" : nil
        default: return nil
        }
    }
}
