import ArgumentParser
import Glibc
import InitService

@main
struct WeightInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weight-init",
        abstract: "PyTorch's weight initialisation, to the bit: over HTTP and in files.",
        discussion: """
            Every option of serve and health can also be given as an environment variable: --max-body-bytes as \
            WEIGHT_INIT_MAX_BODY_BYTES. Options win.

            --generate-completion-script prints a script with which bash, zsh or fish, whichever is named behind it, \
            completes commands, options and values.
            """,
        version: InitService.version,
        subcommands: [
            ServeCommand.self, InitCommand.self, ExplainCommand.self, GainCommand.self, FanCommand.self,
            VerifyCommand.self, HealthCommand.self,
        ]
    )

    static func main() {
        do {
            var command = try parseWithEnvironment(Array(CommandLine.arguments.dropFirst()))
            try command.run()
        } catch {
            let code = exitCode(for: error)
            // Help and version are errors, too, of the kind that succeeds.
            if code.isSuccess { exit(withError: error) }
            let message = message(for: error)
            // A command that has said what went wrong throws its exit code alone.
            if !message.isEmpty { printError(message) }
            Glibc.exit(code.rawValue)
        }
    }

    /// - Throws: Whatever is wrong with the arguments or, where they are right, with the environment.
    private static func parseWithEnvironment(_ arguments: [String]) throws -> any ParsableCommand {
        let command = try parseAsRoot(arguments)
        guard let name = arguments.first, let serving = type(of: command) as? any EnvironmentConfigurable.Type else {
            return command
        }
        let given = environmentArguments(for: serving.init())
        do {
            // The last of repeated options counts, so those of the command line win.
            return try parseAsRoot([name] + given + arguments.dropFirst())
        } catch {
            throw ValidationError("In the environment: \(message(for: error))")
        }
    }
}

/// Writes a line to standard error.
func printError(_ message: String) {
    let line = Array("weight-init: \(message)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
