import ArgumentParser
import ByteText
import Glibc
import InitAPI
import WeightInit

@main
struct WeightInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weight-init",
        abstract: "PyTorch's weight initialisation, to the bit: over HTTP and in files.",
        discussion: .beginning(
            with: [
                "weight-init init --method kaiming_normal --shape 64,3,7,7 -o w.npy",
                "weight-init methods",
                "weight-init serve --port 8080",
            ],
            """
            Every option of serve and health is also an environment variable: --max-body-bytes is \
            WEIGHT_INIT_MAX_BODY_BYTES. Options override variables.

            --generate-completion-script bash, zsh or fish prints a completion script for that shell.

            Exit codes: 0 for success, 64 for a wrong command, option or request, 1 for everything else that fails. If \
            the reader of standard output closes it, the command ends quietly by SIGPIPE. NO_COLOR, if set, turns colours \
            off.
            """
        ),
        version: Release.version,
        subcommands: [
            ServeCommand.self, InitCommand.self, ExplainCommand.self, MethodsCommand.self, ModelsCommand.self,
            GainCommand.self, FanCommand.self, VerifyCommand.self, HealthCommand.self,
        ]
    )

    static func main() {
        OpenFiles.openStandardStreams()
        StandardOutput.endsWithItsReader()
        do {
            do {
                try checkSubcommand()
                var command: any ParsableCommand
                do {
                    command = try parseAsRoot()
                } catch  where !exitCode(for: error).isSuccess {
                    let message = message(for: error)
                    let words = Array(arguments)
                    let unknown = UnknownOption(in: words, refusedWith: Text(message))
                    let hint = Misplaced.hint(for: words, refusedWith: Text(message)) ?? unknown?.hint
                    guard unknown != nil || hint != nil else { throw error }
                    throw ValidationError((unknown?.message ?? message) + (hint.map { "; \($0)" } ?? ""))
                }
                try command.run()
            } catch  where exitCode(for: error).isSuccess {
                // ArgumentParser throws help and version, too.
                try StandardOutput.writeLine(fullMessage(for: error))
            }
        } catch {
            let message = message(for: error)
            // A command that has printed its message throws only an exit code.
            if !message.isEmpty { printError(message) }
            Glibc.exit(exitCode(for: error).rawValue)
        }
    }

    private static let arguments = CommandLine.arguments.dropFirst().map { Text($0) }[...]

    /// Checks the name of the subcommand. The parser would only call an unknown name unexpected, and `help` would
    /// ignore it.
    ///
    /// - Throws: `ValidationError` with the nearest name.
    private static func checkSubcommand() throws(ValidationError) {
        var arguments = arguments
        if arguments.first == "help" { arguments.removeFirst() }
        guard let given = arguments.first, !given.hasPrefix("-") else { return }
        let known = configuration.subcommands.map { Text($0._commandName) } + ["help"]
        guard !known.contains(given) else { return }
        throw ValidationError(.unknown("subcommand", given, in: [], known: known))
    }
}

/// Writes a line to standard error. Text from arguments and files cannot end the line or send a command to a terminal.
func printError(_ message: String) {
    let message = message.split(separator: "\n").joined(separator: " ")
    let line = Array("weight-init: \(Table.printable(Text(message)))\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
