import ByteText
import Foundation
import Glibc
import TestSupport
import Testing
import WeightInit

@Suite("Wrong calls of the command", .serialized)
struct UsageTests {
    @Test(
        "A wrong call ends with 64, one sentence and no output",
        arguments: [
            // Subcommands.
            (["verfy"], #"unknown subcommand "verfy"; did you mean verify?"#),
            (["help", "serv"], #"unknown subcommand "serv"; did you mean serve?"#),
            (["SERVE"], #"unknown subcommand "SERVE"; did you mean serve?"#),
            (["mo\u{308}dels"], "unknown subcommand \"mo\u{308}dels\"; did you mean models?"),
            (["frobnicate", "--help"], #"unknown subcommand "frobnicate"; one of "#),
            ([""], #"unknown subcommand ""; one of "#),
            // Options and arguments that no command has.
            (["--verzion"], "Unknown option '--verzion'; did you mean --version?"),
            (
                ["--port", "1", "serve"],
                "Unknown option '--port'; --port is an option of serve and health, and follows the name of the subcommand"
            ),
            (["init", "--host", "::1"], "Unknown option '--host'; --host is an option of serve and health\n"),
            (["serve", "-o", "w"], "Unknown option '-o'; -o is an option of init\n"),
            (["fan", "3,4", "--seed=1"], "Unknown option '--seed'; --seed is an option of init and explain\n"),
            (["serve", "now"], "Unexpected argument 'now'"),
            (["verify", "all"], "Unexpected argument 'all'"),
            (["models", "random/mlp"], "Unexpected argument 'random/mlp'"),
            (["gain", "leaky_relu", "0.2", "3"], "Unexpected argument '3'"),
            (["fan"], "Missing expected argument '<shape>'"),
            (["serve", "--port"], "Missing value for '--port <port>'"),
            // Options written for arguments, and the other way round.
            (["fan", "--shape", "64,3"], "Unknown option '--shape'; shape is an argument: weight-init fan 64,3"),
            (
                ["fan", "--dims=64,3"],
                "Missing expected argument '<shape>'; shape is an argument: weight-init fan 64,3"
            ),
            (["gain", "--nonlinearity", "relu"], "nonlinearity is an argument: weight-init gain relu"),
            (["gain", "--param=0.2"], "; nonlinearity and param are arguments: weight-init gain <nonlinearity> 0.2"),
            (["methods", "--list", "layers"], "list is an argument: weight-init methods layers"),
            (["init", "he_normal", "--seed", "1", "4,3"], "; write --method he_normal --shape 4,3"),
            (["init", "-o", "w.npy", "model.json"], "Unexpected argument 'model.json'; write --model model.json"),
            (["explain", "random/mlp"], "Unexpected argument 'random/mlp'; write --model-name random/mlp"),
            (["models", "random/mlp"], "write weight-init explain --model-name random/mlp"),
            (["serve", "--host", "::1", "9000"], "Unexpected argument '9000'; write --port 9000"),
            (["--generate-completion-script", "tcsh"], "tcsh"),
            // Values.
            (["serve", "--port", "x"], "--port must be from 0 to 65535, not x."),
            (
                ["serve", "--host", "example"],
                "\"example\" is neither localhost nor a numeric IPv4 or IPv6 address."
            ),
            (
                ["serve", "--port=0", "--metrics-port=0", "--metrics-host", "a b"],
                "\"a b\" is neither localhost nor a numeric"
            ),
            (
                ["serve", "--unix-socket", "/" + String(repeating: "a", count: 107)],
                "cannot be the path of a socket, which has 1 to"
            ),
            (
                ["serve", "--path-prefix", "/weights?a=1"],
                "--path-prefix must be a path such as /weights, not /weights?a=1."
            ),
            (
                ["serve", "--path-prefix", "/weights#a"],
                "--path-prefix must be a path such as /weights, not /weights#a."
            ),
            (["serve", "--path-prefix", "weights"], "--path-prefix must be a path such as /weights, not weights."),
            (["serve", "--path-prefix", "/a/../b"], "--path-prefix must be a path such as /weights, not /a/../b."),
            (["serve", "--path-prefix", "/a\r\nb"], "--path-prefix must be a path such as /weights, not"),
            (["serve", "--path-prefix", "//evil.example"], "--path-prefix must be a path such as /weights, not"),
            (
                ["serve", "--path-prefix", "https://example.org/a"],
                "--path-prefix must be a path such as /weights, not"
            ),
            (["serve", "--tls-key", "k.pem"], "--tls-certificate and --tls-key need each other."),
            (["health", "--host", "example"], "\"example\" is not a numeric address"),
            (
                ["health", "--unix-socket", "/" + String(repeating: "a", count: 107)],
                "cannot be the path of a socket, which has 1"
            ),
            (["health", "--timeout", "0"], "--timeout must be from 1 to 3600 seconds, not 0."),
            (["verify", "--kernel", "mmx"], "--kernel: this processor runs "),
            (["methods", "laers"], #"list: unknown list "laers"; did you mean layers?"#),
            (["methods", "--format", "yaml"], "The value 'yaml' is invalid for '--format <form>'"),
            (["gain", "--format", "npy"], "The value 'npy' is invalid for '--format <form>'"),
            // Requests.
            (["gain", "relux"], #"nonlinearity: unknown activation "relux"; did you mean relu?"#),
            (["fan", "4"], "shape: "),
            (["init"], "--method: is missing"),
            (["explain", "--method", "zeros"], "--shape: is missing"),
            (["init", "--method", "ones", "--shape", "2", "--format", "nyp"], "--format: unknown value \"nyp\""),
            (
                ["init", "--method", "ones", "--shape", "2", "--summary", "--format", "npy"],
                "--summary and --format npy ex"
            ),
            (["init", "--method", "ones", "--shape", "2", "--resume"], "--resume: only a file"),
            (["init", "--model", "a", "--model-name", "b"], "--model and --model-name exclude each other."),
            (["init", "--model-name", "random/resnet81"], "did you mean random/resnet18?"),
            (["init", "--model-name", "resnet18"], "unknown model \"resnet18\"; did you mean random/resnet18?"),
            (["explain", "--model-name", "torchvision/resnet-18"], "did you mean random/resnet18?"),
            (
                ["init", "--method", "ones", "--shape", "2", "--dtype", "bf61"],
                "--dtype: unknown value \"bf61\"; did you mean bf16?"
            ),
        ]
    )
    func mistakes(_ arguments: [String], _ sentence: String) throws {
        let result = try run(arguments, [:])
        #expect(result.status == 64, "\(result.errors)")
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("weight-init: "))
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(result.errors.split(whereSeparator: \.isNewline).count == 1, "\(result.errors)")
    }

    @Test(
        "An unknown option has the names of options that are spelled or called alike, and no others",
        arguments: [
            ("prot", "port"), ("tls-cert", "tls-certificate"), ("tls", "tls-certificate or --tls-key"),
            ("cert", "tls-certificate"), ("tls_key", "tls-key"), ("cors", "cors-origin"),
            ("log", "log-level or --log-format"), ("LogFormat", "log-format"), ("token", "token-file"),
            ("tokens", "token-file"), ("auth-token", "token-file"), ("max-layer", "max-layers"), ("listen", "host"),
            ("model", "models"), ("timeout", "idle-timeout or --receive-timeout or --work-timeout or --drain-timeout"),
            ("max", nil), ("file", "token-file or --max-model-files"), ("qqqq", nil), ("max-tensor-elements", nil),
            ("hostname", "host"), ("it's", nil), ("dims", nil),
        ] as [(String, String?)]
    )
    func suggestions(_ given: String, _ meant: String?) throws {
        let result = try run(["serve", "--\(given)", "1"], [:])
        #expect(result.status == 64)
        let question = meant.map { "; did you mean --\($0)?" } ?? ""
        #expect(result.errors == "weight-init: Unknown option '--\(given)'\(question)\n")
    }

    @Test(
        "Errors of the system are not usage errors",
        arguments: [["init", "--model", "/nowhere"], ["health", "--port=1"]]
    )
    func failures(_ arguments: [String]) throws {
        #expect(try run(arguments, [:]).status == 1)
    }
}

@Suite("Output of commands", .serialized)
struct OutputTests {
    private static let commands = [
        ["--help"], ["--version"], ["help", "init"], ["init", "--help"], ["--generate-completion-script", "bash"],
        ["gain"], ["gain", "relu"], ["fan", "3,4"], ["methods"], ["methods", "--format", "table"], ["models"],
        ["explain", "--method", "ones", "--shape", "2"], ["init", "--method", "ones", "--shape", "2"],
        ["init", "--method", "normal", "--shape", "9999", "--format", "raw"], ["verify"],
        ["verify", "--kernel", "portable"],
    ]

    @Test("A closed pipe ends every command quietly, also if the parent ignores SIGPIPE", arguments: commands)
    func closedPipe(_ arguments: [String]) throws {
        for preparation in ["", "trap '' PIPE; "] {
            let process = Process()
            let errors = Pipe()
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments = ["-c", preparation + #"exec "$0" "$@""#, executable.path] + arguments
            process.environment = sanitizerOptions
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = try unreadPipe()
            process.standardError = errors
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal)
            #expect(process.terminationStatus == SIGPIPE)
            let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            #expect(text.isEmpty, "\(text)")
        }
    }

    /// A socket whose reader has gone, because Swift's Glibc module lacks `pipe2`. Processes that other tests start
    /// meanwhile do not inherit the socket.
    private func unreadPipe() throws -> FileHandle {
        var descriptors: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        try #require(socketpair(AF_UNIX, type, 0, &descriptors) == 0)
        close(descriptors[0])
        return FileHandle(fileDescriptor: descriptors[1], closeOnDealloc: true)
    }

    @Test("Commands report that they cannot write, for example on a full disk", arguments: commands.dropLast(2))
    func fullDisk(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = sanitizerOptions
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: "/dev/full"))
        let errors = try process.runToEnd()
        #expect(errors == "weight-init: cannot write standard output: No space left on device\n")
        #expect(process.terminationStatus == 1)
    }

    @Test("A service keeps serving if nobody reads its output")
    func service() throws {
        let directory = try Directory()
        let socket = directory.path("socket")
        let process = Process()
        process.executableURL = executable
        process.arguments = ["serve", "--unix-socket", socket]
        process.environment = sanitizerOptions
        process.standardOutput = try unreadPipe()
        try process.run()
        defer { kill(process.processIdentifier, SIGKILL) }
        #expect(try eventually { try run("health", "--unix-socket", socket, "--timeout", "60").status == 0 })
        #expect(process.isRunning)
    }

    @Test("Names in a model cannot send control characters to a terminal")
    func controlCharacters() throws {
        let workplace = try Workplace()
        let tensors = #"{"tensors": [{"name": "a\u001b]0;x\u0007", "shape": [2], "method": "ones"}]}"#
        try workplace.write(tensors.utf8, to: "m.json")
        for command in [["explain"], ["init", "--summary"]] {
            let shown = try Terminal().run(command + ["--model", "m.json"], showing: .output, in: workplace)
            #expect(shown.status == 0)
            #expect(shown.text.contains("a\u{fffd}]0;x\u{fffd}"), "\(shown.text)")
            #expect(!shown.text.utf8.contains(0x1b))
        }
    }
}

@Suite("Help of the command", .serialized)
struct HelpTests {
    /// Names of all subcommands, from the help.
    private func subcommands() throws -> [String] {
        let help = try run("--help").output
        let list = try #require(help.components(separatedBy: "SUBCOMMANDS:\n").last)
        return list.matches(of: #/(?m)^  ([a-z]+)[ ]/#).map { String($0.1) }
    }

    /// The examples at the beginning of a help text.
    private func examples(_ help: String) throws -> [[String]] {
        let match = try #require(
            help.firstMatch(of: /^OVERVIEW: (?:.+\n)+\nExamples:\n((?:  weight-init .*\n)+)\n/),
            "\(help)"
        )
        return match.1.split(separator: "\n").map { $0.split(separator: " ").dropFirst().map(String.init) }
    }

    @Test("The help begins with three examples, and the help of each subcommand with its own")
    func beginning() throws {
        let names = try subcommands()
        #expect(Set(names).isSuperset(of: ["serve", "init", "explain", "methods", "models", "gain", "fan", "verify"]))
        #expect(try examples(run("--help").output).count == 3)
        for name in names {
            let examples = try examples(run(name, "--help").output)
            #expect((2...3).contains(examples.count), "\(name)")
            for example in examples { #expect(example.first == name) }
        }
        // On a terminal of 80 columns no example is wrapped.
        for line in try run("--help").output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }

    @Test("Every example of the help works")
    func working() throws {
        var examples = try examples(run("--help").output)
        for name in try subcommands() { examples += try self.examples(run(name, "--help").output) }
        for example in examples {
            let workplace = try Workplace()
            try FileManager.default.createDirectory(
                atPath: workplace.path("models/acme/small"),
                withIntermediateDirectories: true
            )
            let model = #"{"layers": [{"type": "Linear", "in_features": 2, "out_features": 3}]}"#
            try workplace.write(model.utf8, to: "model.json")
            try workplace.write(model.utf8, to: "models/acme/small/init.json")
            guard !["serve", "health"].contains(example[0]) else {
                let help = try run(example[0], "--help").output
                for option in example where option.hasPrefix("--") {
                    #expect(help.contains("\n  \(option) "), "\(example)")
                }
                continue
            }
            let result = try workplace.run(example.map { $0.replacing("/srv/models", with: workplace.path("models")) })
            #expect(result.status == 0, "\(example): \(result.errors)")
            #expect(result.errors.isEmpty, "\(example): \(result.errors)")
            let written = example.firstIndex(of: "-o").map { example[$0 + 1] }
            #expect(result.output.isEmpty == (written != nil), "\(example)")
            if let written { #expect(workplace.byteCount(written) > 0) }
        }
    }

    @Test("The dump of the help has every command and option, each with its description")
    func dump() throws {
        struct Dump: Decodable {
            struct Command: Decodable {
                var commandName: String
                var abstract: String?
                var discussion: String?
                var subcommands: [Command]?
                var arguments: [Argument]?
            }
            struct Argument: Decodable {
                struct Name: Decodable { var name: String }
                var abstract: String?
                var names: [Name]?
                var valueName: String?
            }
            var command: Command
        }
        let text = try run("--experimental-dump-help").output
        let root = try JSONDecoder().decode(Dump.self, from: Data(text.utf8)).command
        #expect(root.commandName == "weight-init")
        let commands = root.subcommands ?? []
        #expect(try commands.map(\.commandName).filter { $0 != "help" } == subcommands())
        for command in commands where command.commandName != "help" {
            #expect(
                command.abstract?.hasSuffix(".") == true || command.commandName == "health",
                "\(command.commandName)"
            )
            #expect(command.discussion?.hasPrefix("Examples:\n  weight-init \(command.commandName)") == true)
            for argument in command.arguments ?? [] {
                #expect(argument.abstract?.isEmpty == false, "\(command.commandName) \(argument.valueName ?? "")")
            }
        }
        let serve =
            commands.first { $0.commandName == "serve" }?.arguments?.flatMap { $0.names ?? [] }.map(\.name) ?? []
        #expect(serve.contains("max-body-bytes") && serve.contains("path-prefix"))
    }
}
