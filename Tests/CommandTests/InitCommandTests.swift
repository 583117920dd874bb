import ByteText
import Foundation
import Glibc
import TestSupport
import Testing
import WeightInit

@Suite("The command init", .serialized)
struct InitCommandTests {
    private static let mlp = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "examples/models/mlp.json")

    // MARK: Bytes

    @Test(
        "Init writes the service's bytes in every format",
        arguments: [
            "method=kaiming_normal&shape=64,3,7,7&seed=42&mode=fan_out&nonlinearity=relu",
            "method=normal_&shape=300,1000&mean=-1&std=0.5&dtype=bfloat16&seed=-3",
            "method=trunc_normal&shape=33,65&a=-1&b=1.5&dtype=float64&slice=3:17,-7:",
            "method=xavier_uniform&shape=5,7&gain=leaky_relu:0.2&dtype=float16",
            "method=normal&shape=30,7&dtype=float64&cast=bfloat16&slice=:9",
            "method=orthogonal&shape=40,30&seed=18446744073709551615",
            "method=sparse&shape=50,20&sparsity=0.75",
            "method=constant&shape=&val=-0.0",
            "method=zeros&shape=0,3",
        ]
    )
    func bytes(_ query: String) throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let options = query.split(separator: "&").flatMap { member in
            let halves = member.split(separator: "=", omittingEmptySubsequences: false)
            return ["--\(halves[0])", String(halves[1])]
        }
        for format in ["raw", "npy", "safetensors", "json", "summary"] {
            let client = try server.client()
            let response = try client.get("/init?\(query)&format=\(format)")
            let workplace = try Workplace()
            let result = try workplace.run(["init", "--format", format, "-o", "made"] + options)
            guard response.status == 200 else {
                #expect(response.status == 406 && format == "npy" && query.contains("bfloat16"))
                #expect(result.status == 64)
                #expect(result.errors.hasPrefix("weight-init: --format: "), "\(result.errors)")
                #expect(try workplace.names.isEmpty)
                continue
            }
            #expect(result.status == 0, "\(format): \(result.errors)")
            #expect(result.errors.isEmpty && result.output.isEmpty)
            #expect(try workplace.bytes("made") == response.body, "\(format)")
            #expect(try workplace.names == ["made"])
            #expect(try workplace.run(["init", "--format", format] + options, output: "piped").status == 0)
            #expect(try workplace.bytes("piped") == response.body, "\(format)")
        }
    }

    @Test("Init writes the service's models, and options override the file", arguments: [nil, "7"])
    func model(_ seed: String?) throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let client = try server.client()
        let given = try String(contentsOf: Self.mlp, encoding: .utf8)
        let request = given.replacing(#""seed": 42"#, with: #""seed": \#(seed ?? "42")"#)
        client.send(
            "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(request.utf8.count)\r\n\r\n\(request)"
        )
        let expected = try client.readResponse().body
        let workplace = try Workplace()
        let options = seed.map { ["--seed", $0] } ?? []
        let file = try workplace.run(["init", "--model", Self.mlp.path, "-o", "m.safetensors"] + options)
        #expect(file.status == 0, "\(file.errors)")
        #expect(try workplace.bytes("m.safetensors") == expected)
        let input = try workplace.run(
            ["init", "--model", "-", "-o", "n.safetensors"] + options,
            input: Array(given.utf8)
        )
        #expect(input.status == 0, "\(input.errors)")
        #expect(try workplace.bytes("n.safetensors") == expected)
    }

    @Test("Standard output gets JSON, or the format of the request")
    func standardOutput() throws {
        let workplace = try Workplace()
        let json = try workplace.run(["init", "--method", "ones", "--shape", "2"])
        let text =
            #"{"shape":[2],"dtype":"float32","seed":0,"effective_seed":0,"method":"ones","data":[1.0,1.0]}"#
        #expect(json.output == text)
        let raw = try workplace.run(["init", "--method=constant", "--shape=2", "--value=2", "--format=raw", "-o", "-"])
        #expect(Array(raw.output.utf8) == [0, 0, 0, 0x40, 0, 0, 0, 0x40])
        #expect(try workplace.names.isEmpty)
        let seen = try Terminal().run(["init", "--method", "ones", "--shape", "2"], showing: .output, in: workplace)
        #expect(seen.text == text + "\n")
    }

    @Test("Binary formats are refused on a terminal")
    func terminal() throws {
        let result = try Terminal().run(
            ["init", "--method", "ones", "--shape", "2", "--format", "npy"],
            showing: .output,
            in: Workplace()
        )
        #expect(result.status == 64)
        #expect(result.text.isEmpty)
    }

    @Test(
        "The extension of the file sets the format",
        arguments: [
            ("w.npy", "\u{93}NUMPY"), ("w.JSON", "{\"shape\""), ("w.raw", "\0\0\u{80}?"),
            ("a.npy/w.bin", "\0\0\u{80}?"),
        ]
    )
    func name(_ name: String, _ start: String) throws {
        let workplace = try Workplace()
        try FileManager.default.createDirectory(atPath: workplace.path("a.npy"), withIntermediateDirectories: false)
        let result = try workplace.run(["init", "--method", "ones", "--shape", "2", "-o", name])
        #expect(result.status == 0, "\(result.errors)")
        #expect(try workplace.bytes(name).starts(with: start.unicodeScalars.map { UInt8($0.value) }))
    }

    @Test(
        "Init has none of the service's limits on streamed tensors",
        arguments: [
            // 16 M and a little more, as JSON.
            ["--method", "zeros", "--shape", "16777217", "--dtype", "float16", "--format", "json"],
            ["--method", "trunc_normal", "--a", "5", "--b", "5000", "--shape", "3", "--format", "raw"],
        ]
    )
    func limits(_ options: [String]) throws {
        let workplace = try Workplace()
        let result = try workplace.run(["init", "-o", "made"] + options)
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test("Every parameter of every method is an option with the help of the table")
    func options() throws {
        let help = try Workplace().run(["init", "--help"]).output
        let options = help.split(separator: "\n  --").map {
            $0.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }
        for method in InitMethod.all {
            for parameter in method.parameters {
                let text = try #require(
                    options.first { $0.hasPrefix("\(parameter.name) ") || $0.hasPrefix("\(parameter.name),") }
                )
                #expect(text.contains(method.name.description) && text.contains(parameter.summary), "\(text)")
            }
        }
        #expect(help.contains("--value, --val <value>"))
    }

    // MARK: Mistakes

    @Test(
        "A refused request is one sentence that names the option",
        arguments: [
            (
                ["--method", "kaiming_uniform", "--shape", "4"],
                "--shape: fan-in and fan-out need at least 2 dimensions"
            ),
            (["--method", "normall", "--shape", "4"], #"--method: unknown method "normall"; did you mean normal?"#),
            (["--shape", "4"], "--method: is missing; one of uniform, normal, "),
            (["--method", "zeros"], "--shape: is missing"),
            (["--method", "zeros", "--shape", "4,x"], #"--shape[1]: must be an integer, found "x""#),
            (
                ["--method", "zeros", "--shape", "4", "--std", "1"],
                "--std: is not a parameter of zeros, but of normal, "
            ),
            (["--method", "uniform", "--shape", "4", "--a", "-1", "--b", "-2"], "--a: "),
            (["--method", "zeros", "--shape", "4", "--seed", "18446744073709551616"], "--seed: "),
            (["--method", "zeros", "--shape", "4", "--dtype", "f4"], "--dtype: unknown value \"f4\""),
            (
                ["--method", "xavier_normal", "--shape", "4,4", "--gain", "relux"],
                "--gain: unknown activation \"relux\"; did"
            ),
            (["--method", "zeros", "--shape", "4", "--sede", "1"], "Unknown option '--sede'"),
            (["--method", "zeros", "--shape", "4", "-o", "w.dat"], "w.dat: the extension names no format"),
            (
                ["--method", "zeros", "--shape", "4", "-o", "w.json", "--resume"],
                "--resume: only a file in the formats raw"
            ),
            (["--method", "zeros", "--shape", "4", "--resume"], "--resume: only a file"),
            (
                ["--method", "zeros", "--shape", "4", "--max-nesting", "0"],
                "--max-nesting must be from 1 to 60, not 0."
            ),
            (["--model", "m.json", "-o", "w.npy"], "--format: npy holds one tensor only"),
            (["--model", "m.json", "--shape", "4"], "--shape: unknown member"),
            (["--model", "bad.json"], "bad.json/layers/1/out_features: must be an integer, found the string \"2\""),
            (["--model", "cut.json"], "cut.json/layers/0: not JSON (RFC 8259): expected a value"),
            (["--model", "m.json", "--max-layers", "1"], "the model has more than 1 layers (--max-layers)"),
            (
                ["--method", "orthogonal", "--shape", "64,64", "--max-work-bytes", "9"],
                "over the limit of 9 (--max-work-"
            ),
        ]
    )
    func mistakes(_ options: [String], _ sentence: String) throws {
        let workplace = try Workplace()
        let layer = #"{"type": "Linear", "in_features": 2, "out_features": 2}"#
        try workplace.write(#"{"layers": [\#(layer), \#(layer)]}"#.utf8, to: "m.json")
        try workplace.write(
            #"{"layers": [\#(layer), {"type": "Linear", "in_features": 2, "out_features": "2"}]}"#.utf8,
            to: "bad.json"
        )
        try workplace.write(#"{"layers": ["#.utf8, to: "cut.json")
        let before = try workplace.names
        let output = options.contains("-o") ? [] : ["-o", "w.safetensors"]
        let result = try workplace.run(["init"] + options + (options.contains("--resume") ? [] : output))
        #expect(result.status == 64)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("weight-init: "))
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(try workplace.names == before)
    }

    @Test(
        "A file that cannot be read or written is one sentence",
        arguments: [
            (["--method", "zeros", "--shape", "4", "-o", "no/w.npy"], "cannot write no/w.npy.partial: No such file"),
            (["--method", "zeros", "--shape", "4", "-o", ".", "--format", "raw"], ". is a directory"),
            (
                ["--method", "zeros", "--shape", "4", "-o", "/dev/full", "--format", "raw"],
                "/dev/full: No space left on"
            ),
            (["--model", "missing.json"], "cannot read missing.json: No such file or directory"),
            (["--model", "random/mlp"], "No such file or directory; the catalogue's model is --model-name random/mlp"),
        ]
    )
    func failures(_ options: [String], _ sentence: String) throws {
        let workplace = try Workplace()
        let result = try workplace.run(["init"] + options)
        #expect(result.status == 1)
        #expect(result.output.isEmpty)
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(try workplace.names.isEmpty)
    }

    // MARK: Files

    @Test("A file is overwritten only with --force, through a link, too")
    func force() throws {
        let workplace = try Workplace()
        try workplace.write([1, 2, 3], to: "w.raw")
        try FileManager.default.createSymbolicLink(atPath: workplace.path("l.raw"), withDestinationPath: "w.raw")
        for name in ["w.raw", "l.raw"] {
            let refused = try workplace.run(["init", "--method", "ones", "--shape", "1", "-o", name])
            #expect(refused.status == 1)
            #expect(refused.errors == "weight-init: \(name) exists; --force overwrites it\n")
            #expect(try workplace.bytes("w.raw") == [1, 2, 3])
        }
        let replaced = try workplace.run(["init", "--method", "ones", "--shape", "1", "-o", "l.raw", "--force"])
        #expect(replaced.status == 0)
        #expect(try workplace.bytes("w.raw") == [0, 0, 0x80, 0x3f])
        #expect(try workplace.names == ["l.raw", "w.raw"])
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: workplace.path("l.raw")) == "w.raw")
    }

    @Test("A full disk leaves no partial file")
    func noRoom() throws {
        let workplace = try Workplace()
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = [
            "-c", #"ulimit -f 2048; exec "$0" init --method normal --shape 10000000 -o w.npy"#, executable.path,
        ]
        process.environment = sanitizerOptions
        process.currentDirectoryURL = workplace.directory
        #expect(try process.runToEnd() == "weight-init: cannot write w.npy: File too large\n")
        #expect(process.terminationStatus == 1)
        #expect(try workplace.names.isEmpty)
    }

    /// A command that takes hours, because nearly all numbers drawn are rejected.
    private static let endless = [
        "init", "--method", "trunc_normal", "--a", "2", "--b", "2.5", "--dtype", "float16", "--shape", "100000000000",
        "-o", "w.raw",
    ]

    private func startEndless(in workplace: Workplace, _ options: [String] = []) throws -> Process {
        let process = try workplace.start(Self.endless + options)
        while process.isRunning, workplace.byteCount("w.raw.partial") < 1 << 16 { usleep(1000) }
        return process
    }

    @Test("A link to a file that does not exist is refused before anything is made", arguments: [[], ["--force"]])
    func danglingLink(_ options: [String]) throws {
        let workplace = try Workplace()
        try FileManager.default.createSymbolicLink(
            atPath: workplace.path("w.npy"),
            withDestinationPath: "elsewhere.npy"
        )
        let result = try workplace.run(["init", "--method", "zeros", "--shape", "4", "-o", "w.npy"] + options)
        #expect(result.status == 1)
        #expect(result.errors == "weight-init: w.npy is a symbolic link to a file that does not exist\n")
        #expect(try workplace.names == ["w.npy"])
        let target = try FileManager.default.destinationOfSymbolicLink(atPath: workplace.path("w.npy"))
        #expect(target == "elsewhere.npy")
    }

    @Test("An interrupted command leaves no partial file", arguments: [SIGINT, SIGTERM, SIGHUP])
    func interruption(_ number: Int32) throws {
        let workplace = try Workplace()
        let process = try startEndless(in: workplace)
        #expect(try workplace.names == ["w.raw.partial"])
        kill(process.processIdentifier, number)
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal)
        #expect(process.terminationStatus == number)
        #expect(try workplace.names.isEmpty)
    }

    @Test("With --resume the partial file is kept and locked")
    func interruptionToResume() throws {
        let workplace = try Workplace()
        let process = try startEndless(in: workplace, ["--resume"])
        let second = try workplace.run(Self.endless + ["--resume"])
        #expect(second.status == 1)
        #expect(second.errors == "weight-init: w.raw.partial is being written by another process\n")
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        #expect(try workplace.names == ["w.raw.partial"])
        let left = workplace.byteCount("w.raw.partial")
        #expect(left >= 1 << 16)
        let third = try workplace.run(Self.endless)
        #expect(third.status == 1)
        #expect(
            third.errors == "weight-init: w.raw.partial exists: --resume continues with it, --force overwrites it\n"
        )
        let fourth = try startEndless(in: workplace, ["--resume"])
        while fourth.isRunning, workplace.byteCount("w.raw.partial") <= left { usleep(1000) }
        kill(fourth.processIdentifier, SIGTERM)
        fourth.waitUntilExit()
        #expect(workplace.byteCount("w.raw.partial") > left)
    }

    @Test(
        "A partial file of any length is resumed",
        arguments: [
            (["--method", "normal", "--shape", "700,1000", "--dtype", "float64"], "w.npy"),
            (["--method", "sparse", "--sparsity", "0.5", "--shape", "1000,600"], "w.safetensors"),
            (["--model", mlp.path], "w.safetensors"),
        ]
    )
    func resuming(_ options: [String], _ name: String) throws {
        let workplace = try Workplace()
        #expect(try workplace.run(["init", "-o", name] + options).status == 0)
        let whole = try workplace.bytes(name)
        for length in [0, 1, 77, 4097, 1 << 19, whole.count - 1, whole.count] {
            try FileManager.default.removeItem(atPath: workplace.path(name))
            try workplace.write(whole.prefix(length), to: name + ".partial")
            let result = try workplace.run(["init", "--resume", "-o", name] + options)
            #expect(result.status == 0, "\(length): \(result.errors)")
            #expect(try workplace.bytes(name) == whole, "\(length)")
            #expect(try workplace.names == [name])
        }
    }

    @Test("A partial file of an empty tensor is not resumed")
    func resumingNothing() throws {
        let workplace = try Workplace()
        try workplace.write([0], to: "w.raw.partial")
        let arguments = ["init", "-o", "w.raw", "--method", "zeros", "--shape", "0", "--resume"]
        #expect(try workplace.run(arguments).status == 1)
        #expect(try workplace.names == ["w.raw.partial"])
        #expect(try workplace.run(arguments + ["--force"]).status == 0)
        #expect(try workplace.bytes("w.raw").isEmpty)
    }

    @Test("The progress bar shows work before the first byte")
    func preparation() throws {
        let workplace = try Workplace()
        let arguments = ["init", "--method", "orthogonal", "--shape", "64,64", "-o", "w.npy"]
        let (status, text) = try Terminal().run(arguments, ["TERM": "xterm"], showing: .errors, in: workplace)
        #expect(status == 0)
        #expect(text.hasPrefix("w.npy: preparing\rw.npy: 16.5 kB in "), "\(text)")
    }

    @Test("A partial file of another request is refused", arguments: ["first byte", "last byte", "too long"])
    func resumingSomethingElse(_ fault: String) throws {
        let workplace = try Workplace()
        let arguments = ["init", "-o", "w.npy", "--method", "normal", "--shape", "1000,1000", "--seed", "1"]
        #expect(try workplace.run(arguments).status == 0)
        let whole = try workplace.bytes("w.npy")
        try FileManager.default.removeItem(atPath: workplace.path("w.npy"))
        var other = Array(whole.prefix(3_000_000))
        switch fault {
        case "first byte": other[0] ^= 1
        case "last byte": other[2_999_999] ^= 1
        default: other = whole + [0]
        }
        try workplace.write(other, to: "w.npy.partial")
        let refused = try workplace.run(arguments + ["--resume"])
        #expect(refused.status == 1)
        #expect(
            refused.errors == "weight-init: w.npy.partial does not belong to this request; --force overwrites it\n"
        )
        #expect(try workplace.names == ["w.npy.partial"])
        #expect(try workplace.bytes("w.npy.partial") == other)
        #expect(try workplace.run(arguments + ["--resume", "--force"]).status == 0)
        #expect(try workplace.names == ["w.npy"])
        #expect(try workplace.bytes("w.npy") == whole)
    }

    // MARK: While it runs

    @Test("A progress bar appears on a terminal and not in a pipe")
    func progress() throws {
        let workplace = try Workplace()
        let arguments = ["init", "--method", "normal", "--dtype", "float64", "--shape", "16000000", "-o", "w.npy"]
        let (status, text) = try Terminal().run(arguments, ["TERM": "xterm"], showing: .errors, in: workplace)
        #expect(status == 0)
        let lines = text.split(separator: "\r")
        #expect(
            lines.first?.wholeMatch(
                of: /w\.npy  [0-9]+ %  \[#*-*\]  [0-9.]+ MB of 128 MB, [0-9.]+ [kMG]?B\/s, [0-9:]+ left\u{1b}\[K/
            ) != nil,
            "\(text)"
        )
        #expect(
            lines.last?.wholeMatch(of: /w\.npy: 128 MB in [0-9.]+ s, [0-9.]+ [kMG]?B\/s\u{1b}\[K\n/) != nil,
            "\(text)"
        )
        #expect(try workplace.run(arguments + ["--force"]).errors.isEmpty)
        let dumb = try Terminal().run(arguments + ["--force"], ["TERM": "dumb"], showing: .errors, in: workplace)
        #expect(dumb.text.isEmpty)
    }

    @Test("Memory does not depend on the size of the tensor, and a closed pipe ends the command quietly")
    func memory() throws {
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = executable
        process.arguments = ["init", "--method", "normal", "--shape", "1000000000000", "--format", "raw"]
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        var received = 0
        while received < 256 << 20 {
            let data = output.fileHandleForReading.availableData
            try #require(!data.isEmpty)
            received += data.count
        }
        let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        let peak = try #require(status.firstMatch(of: /VmHWM:\s*([0-9]+) kB/)).1
        #expect(try #require(Int(peak)) < 64 << 10)
        try output.fileHandleForReading.close()
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGPIPE)
        #expect(errors.fileHandleForReading.readDataToEndOfFile().isEmpty)
    }
}
