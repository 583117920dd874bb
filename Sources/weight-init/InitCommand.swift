import ArgumentParser
import ByteSource
import ByteText
import Glibc
import InitAPI
import TensorFormats
import WeightInit

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Write a tensor, or the parameters of a layer or model, to a file or standard output.",
        discussion: .beginning(
            with: [
                "weight-init init --method kaiming_normal --shape 64,3,7,7 --seed 42 -o w.npy",
                "weight-init init --method trunc_normal --shape 512,512 --std 0.02 --summary",
                "weight-init init --model-name random/resnet18 -o model.safetensors",
            ],
            """
            The bytes are those that /init answers. --format sets the format; without it, the extension of the file does \
            (\(TensorFormat.all.flatMap(\.extensions).joined(separator: ", "))). Standard output gets JSON unless the \
            request sets another format.

            Until it is complete, the file has the extension .partial. If the command is interrupted or fails, it removes \
            the partial file. With --resume it keeps the file, and the next run with --resume compares the beginning and \
            the end of the file with the expected bytes, and continues.

            On a terminal, standard error shows a progress bar. Exit codes: 0 for success, 64 for a refused request or a \
            wrong option, 1 for a file that cannot be read or written.
            """
        )
    )

    @OptionGroup
    var request: RequestOptions

    @Option(help: "Output format; overrides the extension of the file.", completion: RequestOptions.formats)
    var format: String?

    @Flag(help: "Statistics instead of elements, as --format summary: with a histogram on a terminal, else JSON.")
    var summary = false

    @Option(name: .shortAndLong, help: "Output file; - is standard output.", completion: .file())
    var output = "-"

    @Flag(help: "Overwrite an existing file or partial file.")
    var force = false

    @Flag(help: "Keep the partial file if interrupted, and resume it in the next run.")
    var resume = false

    func validate() throws {
        guard !summary || (format ?? "summary") == "summary" else {
            throw ValidationError("--summary and --format \(format ?? "") exclude each other.")
        }
    }

    func run() throws {
        let format = summary ? "summary" : format
        let answer = try request.ask(.initialize, format: format ?? formatOfName())
        guard !resume || (output != "-" && answer.servesRanges) else {
            throw ValidationError("--resume: only a file in the formats raw, npy and safetensors can be resumed")
        }
        var file =
            try output == "-"
            ? OutputFile.standardOutput()
            : OutputFile(path: output, isReplacing: force, isResuming: resume)
        let isText = answer.mediaType == Answer.json
        guard isText || !file.isTerminal else {
            throw ValidationError(
                "a terminal cannot show this format: name a file with --output, or choose --format json"
            )
        }
        var progress = file.isTerminal ? nil : ProgressLine(fileName, total: answer.byteCount)
        if answer.takesWork { progress?.prepare() }
        do {
            let body = try answer.body()
            if file.byteCount > 0 { try check(&file, against: body) }
            progress?.begin(from: file.byteCount)
            if format == "summary", file.isTerminal {
                let style = TextStyle(isColoured: Screen(descriptor: file.descriptor).isColoured)
                try file.append(Array(SummaryPicture.text(of: JSONValue(ownText: body.bytes), style).utf8).span.bytes)
            } else {
                try write(body, to: &file, &progress)
                if isText, file.isTerminal { try file.append([UInt8(ascii: "\n")].span.bytes) }
            }
            try file.finish()
        } catch {
            progress?.abandon()
            if let refusal = error as? InitError { throw request.invalid(refusal) }
            throw error
        }
        progress?.finish(file.byteCount)
    }

    /// The format that the file's extension names; `nil` for standard output.
    private func formatOfName() throws(ValidationError) -> String? {
        guard output != "-" else { return nil }
        let ending = fileName.split(separator: ".").dropFirst().last.map { $0.lowercased() } ?? ""
        guard let format = TensorFormat.all.first(where: { $0.extensions.contains(ending) }) else {
            throw ValidationError("\(output): the extension names no format; set it with --format")
        }
        return format.name.description
    }

    private var fileName: String {
        output == "-" ? "standard output" : output.split(separator: "/").last.map(String.init) ?? output
    }

    private static let blockBytes = 1 << 20

    /// Compares the beginning and the end of the partial file with the expected bytes.
    private func check(_ file: inout OutputFile, against body: AnswerBody) throws {
        let size = min(file.byteCount, InitCommand.blockBytes)
        var isBeginning = false
        if case .source(let source) = body, file.byteCount <= source.byteCount {
            isBeginning = try [0, file.byteCount - size].allSatisfy { position in
                try file.bytes(at: position, count: size) == source.bytes(at: position, count: size)
            }
        }
        guard !isBeginning else { return }
        guard force else {
            throw Failure("\(output).partial does not belong to this request; --force overwrites it")
        }
        try file.truncate()
    }

    private func write(_ body: AnswerBody, to file: inout OutputFile, _ progress: inout ProgressLine?) throws {
        var buffer = [UInt8](repeating: 0, count: InitCommand.blockBytes)
        switch body {
        case .bytes(let bytes):
            try file.append(bytes.span.bytes)
        case .source(let source):
            while file.byteCount < source.byteCount {
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

extension AnswerBody {
    /// All bytes of an answer that is known to be short.
    fileprivate var bytes: [UInt8] {
        switch self {
        case .bytes(let bytes): return bytes
        case .source(let source): return source.bytes(at: 0, count: source.byteCount)
        case .stream(let stream):
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while let count = stream.read(into: &buffer) { bytes += buffer[..<count] }
            return bytes
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
