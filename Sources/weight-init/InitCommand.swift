import ArgumentParser
import ByteSource
import Glibc
import HTTPExchange
import InitService
import WeightInit

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a tensor, a layer's parameters or a model's, in a file or on standard output.",
        discussion: """
            The bytes are those that the service answers on /init. The format is --format or, where that is missing, the \
            one that the file's name ends in: .npy, .safetensors, .json, .raw or .bin. On standard output it is JSON \
            unless the request names another.

            A file has its name only when it is whole. Until then it has .partial behind it, and is removed when the \
            command is interrupted or fails. With --resume it is kept, and the next --resume goes on where it ends, after \
            comparing its beginning and its end with what they should be.

            On a terminal, standard error shows how far it is. The command ends with 0, with 64 for a request that is \
            refused, or with 1 for what could not be written.
            """
    )

    @OptionGroup
    var request: RequestOptions

    @Option(
        help: "The format; wins over the file's name.",
        completion: .list(RequestOptions.Asked.format?.words ?? [])
    )
    var format: String?

    @Option(name: .shortAndLong, help: "The file; - is standard output.", completion: .file())
    var output = "-"

    @Flag(help: "Overwrite the file, or an unfinished one.")
    var force = false

    @Flag(help: "Keep what there is when interrupted, and go on with it the next time.")
    var resume = false

    func run() throws {
        let answer = try request.ask(.initialize, format: format ?? formatOfName())
        guard !resume || (output != "-" && answer.servesRanges) else {
            throw ValidationError("--resume: only a file in the formats raw, npy and safetensors can be gone on with")
        }
        var file =
            try output == "-"
            ? OutputFile.standardOutput()
            : OutputFile(path: output, isReplacing: force, isResuming: resume)
        let isText = answer.mediaType == "application/json"
        guard isText || !file.isTerminal else {
            throw ValidationError(
                "those bytes are not for a terminal: name a file with --output, or take --format json"
            )
        }
        var progress = file.isTerminal ? nil : ProgressLine(fileName, total: answer.byteCount)
        if answer.takesWork { progress?.prepare() }
        do {
            let body = try answer.body()
            if file.byteCount > 0 { try check(&file, against: body) }
            progress?.begin(from: file.byteCount)
            try write(body, to: &file, &progress)
            if isText, file.isTerminal { try file.append([UInt8(ascii: "\n")].span.bytes) }
            try file.finish()
        } catch {
            progress?.abandon()
            if let refusal = error as? InitError { throw request.invalid(refusal) }
            throw error
        }
        progress?.finish(file.byteCount)
    }

    /// The format that the file's name tells.
    ///
    /// - Returns: `nil` for standard output, where a request says it itself.
    private func formatOfName() throws(ValidationError) -> String? {
        guard output != "-" else { return nil }
        let ending = fileName.split(separator: ".").dropFirst().last.map { $0.lowercased() } ?? ""
        switch ending {
        case "bin": return "raw"
        case "raw", "npy", "safetensors", "json": return ending
        default: throw ValidationError("\(output): the name does not tell the format; give it with --format")
        }
    }

    private var fileName: String {
        output == "-" ? "standard output" : output.split(separator: "/").last.map(String.init) ?? output
    }

    private static let blockBytes = 1 << 20

    /// Holds the beginning and the end of what is there against what should be.
    private func check(_ file: inout OutputFile, against body: ResponseBody) throws {
        let size = min(file.byteCount, InitCommand.blockBytes)
        var isBeginning = false
        if case .source(let source, _) = body, file.byteCount <= source.byteCount {
            isBeginning = try [0, file.byteCount - size].allSatisfy { position in
                try file.bytes(at: position, count: size) == source.bytes(at: position, count: size)
            }
        }
        guard !isBeginning else { return }
        guard force else {
            throw Failure("\(output).partial is not the beginning of this file; --force begins anew")
        }
        try file.truncate()
    }

    private func write(_ body: ResponseBody, to file: inout OutputFile, _ progress: inout ProgressLine?) throws {
        var buffer = [UInt8](repeating: 0, count: InitCommand.blockBytes)
        switch body {
        case .empty, .unsent:
            break
        case .bytes(let bytes):
            try file.append(bytes.span.bytes)
        case .source(let source, let range):
            while file.byteCount < range.upperBound {
                let count = source.read(at: file.byteCount, into: &buffer)
                try file.append(buffer.span.bytes.extracting(first: count))
                progress?.advance(to: file.byteCount)
            }
        case .stream(let stream):
            while let count = stream.read(into: &buffer) {
                try file.append(buffer.span.bytes.extracting(first: count))
                progress?.advance(to: file.byteCount)
            }
        }
    }
}

extension ByteSource {
    fileprivate func read(at position: Int, into buffer: inout [UInt8]) -> Int {
        var room = buffer.mutableSpan
        var bytes = room.mutableBytes
        return read(at: position, into: &bytes)
    }

    fileprivate func bytes(at position: Int, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var rest = [UInt8](repeating: 0, count: count - bytes.count)
            let read = read(at: position + bytes.count, into: &rest)
            bytes += rest[..<read]
        }
        return bytes
    }
}

extension ByteStream {
    fileprivate func read(into buffer: inout [UInt8]) -> Int? {
        var room = buffer.mutableSpan
        var bytes = room.mutableBytes
        return read(into: &bytes)
    }
}
