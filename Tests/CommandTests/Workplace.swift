import Foundation
import Glibc
import Testing

/// A temporary directory, empty at first and removed at the end.
final class Workplace {
    let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "weight-init-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: directory)
    }

    func path(_ name: String) -> String { directory.appending(path: name).path }

    func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: directory.appending(path: name))) }

    func write(_ bytes: some Sequence<UInt8>, to name: String) throws {
        try Data(bytes).write(to: directory.appending(path: name))
    }

    /// The names of the files in the directory, sorted.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() }
    }

    /// The length of a file in bytes; 0 if there is no file.
    func byteCount(_ name: String) -> Int {
        var status = stat()
        return stat(path(name), &status) == 0 ? Int(status.st_size) : 0
    }

    /// Runs the command here to its end.
    ///
    /// - Parameter file: Name of a file for standard output.
    func run(_ arguments: [String], input: [UInt8] = [], output file: String? = nil) throws -> Outcome {
        let process = command(arguments)
        let (inputPipe, output, errors) = (Pipe(), Pipe(), Pipe())
        process.standardInput = inputPipe
        process.standardOutput = output
        if let file {
            try write([], to: file)
            process.standardOutput = try FileHandle(forWritingTo: directory.appending(path: file))
        }
        process.standardError = errors
        try process.run()
        // Input and errors are short and fit the pipes.
        inputPipe.fileHandleForWriting.write(Data(input))
        try inputPipe.fileHandleForWriting.close()
        let written = file != nil ? Data() : output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            output: String(decoding: written, as: UTF8.self),
            errors: String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        )
    }

    /// The command, to be run here with nothing to read.
    func command(_ arguments: [String], _ environment: [String: String] = [:]) -> Process {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        // The environment of the tests is not inherited, because it may select other kernels.
        process.environment = environment.merging(sanitizerOptions) { $1 }
        process.currentDirectoryURL = directory
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Starts the command here.
    func start(_ arguments: [String]) throws -> Process {
        let process = command(arguments)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}

/// A terminal that someone is looking at.
final class Terminal {
    private let descriptor: Int32
    private let path: String

    /// - Parameter columns: Width that the terminal reports; 0 if it does not report its width.
    init(columns: UInt16 = 0) throws {
        descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        try #require(descriptor >= 0)
        var (isLocked, number): (Int32, Int32) = (0, 0)
        // TIOCSPTLCK and TIOCGPTN, which Swift does not see.
        try #require(ioctl(descriptor, 0x4004_5431, &isLocked) == 0)
        try #require(ioctl(descriptor, 0x8004_5430, &number) == 0)
        path = "/dev/pts/\(number)"
        var size = winsize()
        size.ws_col = columns
        try #require(ioctl(descriptor, UInt(TIOCSWINSZ), &size) == 0)
    }

    deinit {
        close(descriptor)
    }

    enum Stream {
        case output, errors
    }

    /// Runs the command to its end and returns the text that one of its streams writes to the terminal, with LF line
    /// ends.
    func run(
        _ arguments: [String],
        _ environment: [String: String] = [:],
        showing stream: Stream,
        in workplace: Workplace
    ) throws -> (status: Int32, text: String) {
        let process = workplace.command(arguments, environment)
        let other = open(path, O_RDWR | O_NOCTTY)
        try #require(other >= 0)
        let handle = FileHandle(fileDescriptor: other)
        process.standardOutput = stream == .output ? handle : FileHandle.nullDevice
        process.standardError = stream == .errors ? handle : FileHandle.nullDevice
        try process.run()
        close(other)
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        // Reading fails once no process has the other end open.
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self).replacing("\r\n", with: "\n"))
    }
}
