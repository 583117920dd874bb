import Foundation
import Glibc
import Testing

/// The command as built beside the tests.
private let executable = Bundle.main.bundleURL.appending(path: "weight-init")

struct Outcome {
    var status: Int32
    var output: String
    var errors: String
}

func run(_ arguments: String...) throws -> Outcome {
    try run(arguments, [:])
}

/// Runs the command to its end.
func run(_ arguments: [String], _ environment: [String: String]) throws -> Outcome {
    let process = Process()
    let (output, errors) = (Pipe(), Pipe())
    process.executableURL = executable
    process.arguments = arguments
    process.environment = environment
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // What is written is short and fits the pipes.
    process.waitUntilExit()
    return Outcome(
        status: process.terminationStatus,
        output: String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self),
        errors: String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    )
}

/// A running `serve`.
final class Server {
    enum End: Equatable {
        case exited(Int32)
        case killed(Int32)
    }

    /// What it printed when it was ready.
    let line: String
    private let process = Process()
    private let output = Pipe()
    private let errorOutput = Pipe()
    private var logged = ""

    init(_ arguments: [String], _ environment: [String: String]) throws {
        process.executableURL = executable
        process.arguments = arguments
        process.environment = environment
        process.standardOutput = output
        process.standardError = errorOutput
        try process.run()
        line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    }

    var port: String {
        line.split(separator: ":").last?.trimmingCharacters(in: .newlines) ?? ""
    }

    var processIdentifier: Int32 { process.processIdentifier }

    func signal(_ number: Int32) {
        Glibc.kill(process.processIdentifier, number)
    }

    /// Waits until a word is logged.
    func logs(_ word: String) throws -> Bool {
        while !logged.contains(word) {
            let data = errorOutput.fileHandleForReading.availableData
            guard !data.isEmpty else { return false }
            logged += String(decoding: data, as: UTF8.self)
        }
        return true
    }

    /// What it wrote to standard error, to the end.
    func errors() -> String {
        logged += String(decoding: errorOutput.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return logged
    }

    func wait() -> End {
        process.waitUntilExit()
        let status = process.terminationStatus
        return process.terminationReason == .exit ? .exited(status) : .killed(status)
    }

    func kill() {
        if process.isRunning { signal(SIGKILL) }
    }
}
