import Foundation
import Glibc
import TestSupport
import Testing

/// The command, built beside the tests.
let executable = Bundle.main.bundleURL.appending(path: "weight-init")

/// Under AddressSanitizer, memory that a command still holds at its exit would be reported as leaked and change its
/// status.
let sanitizerOptions = ["ASAN_OPTIONS": "detect_leaks=0"]

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
    try run(executable, arguments, environment)
}

/// Runs a program of the system to its end, with empty standard input.
func tool(_ program: String, _ arguments: String...) throws -> Outcome {
    try tool(program, arguments)
}

func tool(_ program: String, _ arguments: [String]) throws -> Outcome {
    try run(URL(filePath: "/usr/bin/env"), [program] + arguments, ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin"])
}

private func run(_ program: URL, _ arguments: [String], _ environment: [String: String]) throws -> Outcome {
    let process = Process()
    // Files, because a pipe holds 64 KiB and the output may be longer.
    let workplace = try Workplace()
    for name in ["output", "errors"] { try workplace.write([], to: name) }
    process.executableURL = program
    process.standardInput = FileHandle.nullDevice
    process.arguments = arguments
    process.environment = environment.merging(sanitizerOptions) { $1 }
    process.standardOutput = try FileHandle(forWritingTo: workplace.directory.appending(path: "output"))
    process.standardError = try FileHandle(forWritingTo: workplace.directory.appending(path: "errors"))
    try process.run()
    // A program that serves instead of refusing is killed.
    if !eventually({ !process.isRunning }) { process.terminate() }
    process.waitUntilExit()
    return Outcome(
        status: process.terminationStatus,
        output: String(decoding: try workplace.bytes("output"), as: UTF8.self),
        errors: String(decoding: try workplace.bytes("errors"), as: UTF8.self)
    )
}

extension Process {
    /// Runs to the end.
    ///
    /// - Returns: Standard error, which has to fit a pipe.
    func runToEnd() throws -> String {
        let errors = Pipe()
        standardError = errors
        try run()
        waitUntilExit()
        return String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }
}

/// A running `serve`.
final class Server {
    enum End: Equatable {
        case exited(Int32)
        case killed(Int32)
    }

    /// The announcement, printed in one write: one line, or two with a metrics port.
    let line: String
    private let process = Process()
    private let output = Pipe()
    private let errorOutput = Pipe()
    private var logged = ""

    /// - Parameters:
    ///   - preparation: Shell commands that end with the prefix of the command which starts the program, such as
    ///     `ulimit -n 100 && exec`.
    ///   - input: Standard input; the tests' own if it is `nil`.
    init(
        _ arguments: [String],
        _ environment: [String: String],
        after preparation: String? = nil,
        input: FileHandle? = nil
    ) throws {
        process.executableURL = preparation == nil ? executable : URL(filePath: "/bin/sh")
        process.arguments = preparation.map { ["-c", "\($0) \"$0\" \"$@\"", executable.path] + arguments } ?? arguments
        process.environment = environment.merging(sanitizerOptions) { $1 }
        process.standardOutput = output
        process.standardError = errorOutput
        if let input { process.standardInput = input }
        try process.run()
        line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    }

    var port: String {
        line.firstMatch(of: /:([0-9]+)\n/).map { String($0.1) } ?? ""
    }

    /// Port of the metrics, if they have their own; otherwise empty.
    var metricsPort: String {
        line.firstMatch(of: /:([0-9]+)\/metrics\n/).map { String($0.1) } ?? ""
    }

    /// The largest number of bytes of memory that the server has used.
    func peakMemory() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        let kibibytes = try #require(status.firstMatch(of: /VmHWM:\s*([0-9]+) kB/)).1
        return try #require(Int(kibibytes)) << 10
    }

    /// Number of the server's open descriptors.
    func openFiles() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.processIdentifier)/fd").count
    }

    /// The server's own limit on open files.
    func openFileLimit() throws -> Int {
        let limits = try String(contentsOfFile: "/proc/\(process.processIdentifier)/limits", encoding: .utf8)
        let limit = try #require(limits.firstMatch(of: /Max open files\s+([0-9]+)/)).1
        return try #require(Int(limit))
    }

    /// Output after the first line, to the end.
    func restOfOutput() -> String {
        String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    func client(receiveBuffer: Int32? = nil) throws -> RawClient {
        try RawClient(port: try #require(UInt16(port)), receiveBuffer: receiveBuffer)
    }

    /// The response to a GET on a new connection.
    func get(_ target: String) throws -> RawClient.Response {
        try client().get(target)
    }

    /// A client that has read only the head of a long response, with a small receive buffer.
    func slowReader(_ target: String, receiveBuffer: Int32 = 16 << 10) throws -> RawClient {
        try RawClient.slowReader(port: try #require(UInt16(port)), target, receiveBuffer: receiveBuffer)
    }

    func signal(_ number: Int32) {
        Glibc.kill(process.processIdentifier, number)
    }

    /// Waits until a word is logged, but not for ever.
    func logs(_ word: String) throws -> Bool {
        while !logged.contains(word) {
            var stream = pollfd(fd: errorOutput.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&stream, 1, 120_000) == 1 else { return false }
            let data = errorOutput.fileHandleForReading.availableData
            guard !data.isEmpty else { return false }
            logged += String(decoding: data, as: UTF8.self)
        }
        return true
    }

    /// Standard error, to the end.
    func errors() -> String {
        logged += String(decoding: errorOutput.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return logged
    }

    /// Waits for the end, but not for ever: after two minutes the program is killed.
    func wait() -> End {
        if !eventually({ !process.isRunning }) { kill() }
        process.waitUntilExit()
        let status = process.terminationStatus
        return process.terminationReason == .exit ? .exited(status) : .killed(status)
    }

    func kill() {
        if process.isRunning { signal(SIGKILL) }
    }
}

/// A socket that accepts connections and sends nothing, or one text.
final class Listener: Sendable {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) | listen(descriptor, 8) | getsockname(descriptor, $0, &size)
            }
        }
        guard code == 0 else { throw RawClient.Failure("no listener") }
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit {
        close(descriptor)
    }

    /// Accepts the waiting connections and the next one, and sends the text on each.
    func answerNext(_ text: String) {
        let descriptor = descriptor
        Thread.detachNewThread {
            for _ in 0..<2 {
                let connection = accept(descriptor, nil, nil)
                _ = text.utf8.withContiguousStorageIfAvailable {
                    send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                close(connection)
            }
        }
    }
}

/// A temporary directory of one test, removed with this object.
final class Directory {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "weight-init-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path(percentEncoded: false)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func path(_ name: String) -> String { path + "/" + name }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try text.write(toFile: path(name), atomically: false, encoding: .utf8)
        return path(name)
    }

    /// Makes a key and a self-signed certificate for localhost and 127.0.0.1.
    func makeCertificate(_ name: String = "server") throws -> (certificate: String, key: String) {
        let (certificate, key) = (path(name + ".pem"), path(name + ".key"))
        let made = try tool(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            key,
            "-out",
            certificate
        )
        guard made.status == 0 else { throw RawClient.Failure(made.errors) }
        return (certificate, key)
    }
}
