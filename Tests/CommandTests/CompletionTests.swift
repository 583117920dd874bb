import ByteText
import Foundation
import Testing
import WeightInit

@Suite("Completion scripts", .serialized)
struct CompletionTests {
    @Test("Completion scripts parse in their shells", arguments: ["bash", "zsh", "fish"])
    func syntax(_ shell: String) throws {
        let workplace = try Workplace()
        let result = try workplace.run(["--generate-completion-script", shell], output: "script")
        #expect(result.status == 0)
        let text = String(decoding: try workplace.bytes("script"), as: UTF8.self)
        for word in InitMethod.all.map(\.name.description) + [
            "bfloat16", "safetensors", "fan_out", "gelu_tanh", "nonlinearity",
        ] {
            #expect(text.contains(word), "\(word)")
        }
        // An installed shell parses the script without running it.
        let check = try shellOutcome("command -v \(shell) > /dev/null || exit 0; \(shell) -n script", in: workplace)
        #expect(check.status == 0, "\(check.errors)")
    }

    @Test(
        "Bash completes the commands, options and values of the tables",
        arguments: [
            (["init", "--method", "kaiming_"], ["kaiming_uniform", "kaiming_normal"]),
            (["init", "--dtype", ""], DType.requestable.map(\.rawValue)),
            (["explain", "--format", "s"], ["safetensors", "summary"]),
            (["init", "--sp"], ["--sparsity"]),
            (["init", "--nonlinearity", "re"], ["relu"]),
            (["init", "--gain", "re"], ["relu", "relu6"]),
            (["gain", "leak"], ["leaky_relu"]),
            (["fan", "3,4", "--mode", ""], ["fan_in", "fan_out"]),
            (["fan", "3,4", "--t"], ["--transposed"]),
            (["serve", "--log-level", "c"], ["critical"]),
            (["ver"], ["verify"]),
        ]
    )
    func bash(_ words: [String], _ offered: [String]) throws {
        let workplace = try Workplace()
        #expect(try workplace.run(["--generate-completion-script", "bash"], output: "script").status == 0)
        // The steps of bash when Tab is pressed.
        let result = try shellOutcome(
            """
            . ./script
            COMP_WORDS=(weight-init \(words.map { "'\($0)'" }.joined(separator: " ")))
            COMP_CWORD=\(words.count)
            COMP_LINE="${COMP_WORDS[*]}"
            COMP_POINT=${#COMP_LINE}
            COMP_TYPE=9
            _weight-init weight-init "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\\n' "${COMPREPLY[@]}"
            """,
            in: workplace
        )
        #expect(result.output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) } == offered)
    }

    private func shellOutcome(_ program: String, in workplace: Workplace) throws -> Outcome {
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-c", program]
        process.currentDirectoryURL = workplace.directory
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let written = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            output: String(decoding: written, as: UTF8.self),
            errors: String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        )
    }
}
