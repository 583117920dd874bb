import ArgumentParser
import Glibc
import InitAPI

@main
struct WeightInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weight-init",
        abstract: "PyTorch's weight initialisation, to the bit: over HTTP and in files.",
        discussion: """
            Every option of serve and health is also an environment variable: --max-body-bytes is \
            WEIGHT_INIT_MAX_BODY_BYTES. Options override variables.

            --generate-completion-script bash, zsh or fish prints a completion script for that shell.
            """,
        version: Release.version,
        subcommands: [
            ServeCommand.self, InitCommand.self, ExplainCommand.self, ModelsCommand.self, GainCommand.self,
            FanCommand.self, VerifyCommand.self, HealthCommand.self,
        ]
    )

    static func main() {
        OpenFiles.openStandardStreams()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            let code = exitCode(for: error)
            // ArgumentParser throws help and version, too, with exit code 0.
            if code.isSuccess { exit(withError: error) }
            let message = message(for: error)
            // A command that has printed its message throws only an exit code.
            if !message.isEmpty { printError(message) }
            Glibc.exit(code.rawValue)
        }
    }
}

/// Writes a line to standard error.
func printError(_ message: String) {
    let line = Array("weight-init: \(message)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
