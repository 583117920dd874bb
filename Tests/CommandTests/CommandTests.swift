import Foundation
import Glibc
import TestSupport
import Testing

@Suite("The command", .serialized)
struct CommandTests {
    @Test("The command prints its version and help")
    func help() throws {
        #expect(try run("--version").output == "1.0.0\n")
        let help = try run("--help")
        #expect(help.status == 0)
        #expect(help.output.contains("serve") && help.output.contains("health"))
        #expect(help.output.contains("WEIGHT_INIT_MAX_BODY_BYTES"))
        let serve = try run("serve", "--help").output
        for option in ["host", "port", "threads", "max-body-bytes", "max-json-elements", "drain-timeout", "log-level"] {
            #expect(serve.contains("--\(option) "), "\(option)")
        }
    }

    @Test("The help of serve has each option once, under a heading")
    func headings() throws {
        let help = try run("serve", "--help").output
        let headings = help.matches(of: /\n([A-Z][A-Z, ']*):\n/).map { String($0.1) }
        #expect(headings.prefix(2) == ["ADDRESSES", "TOKENS, TLS AND ORIGINS"] && headings.count == 9)
        let (grouped, rest) = (help.split(separator: "\nOPTIONS:\n")[0], help.split(separator: "\nOPTIONS:\n")[1])
        let options = grouped.matches(of: /\n  --([a-z-]+) </).map { String($0.1) }
        #expect(options.count > 50 && Set(options).count == options.count)
        #expect(!rest.contains(" <"))
    }

    @Test(
        "A wrong option or variable is one sentence that names it",
        arguments: [
            (["serve", "--port", "70000"], [:], "--port must be from 0 to 65535, not 70000."),
            (["serve", "--prot", "1"], [:], "Unknown option '--prot'; did you mean --port?"),
            (["serve", "--threads", "1"], [:], "--threads must be from 2 to 1024, not 1."),
            (
                ["serve", "--host", "example"], [:],
                "\"example\" is neither localhost nor a numeric IPv4 or IPv6 address."
            ),
            (["serve", "--max-tensor-bytes", "0"], [:], "--max-tensor-bytes must be at least 1, not 0."),
            (
                ["serve", "--max-matrix-elements", "2147483648"], [:],
                "--max-matrix-elements must be from 1 to 2147483647, not 2147483648."
            ),
            (
                ["serve", "--max-rounds", "9000000000000000000"], [:],
                "--max-rounds must be from 1 to 1099511627776, not"
            ),
            (["serve", "--max-layers", "9223372036854775808"], [:], "--max-layers must be at least 1, not"),
            (["serve", "--max-nesting", "61"], [:], "--max-nesting must be from 1 to 60, not 61."),
            (["serve", "--drain-timeout=-1"], [:], "--drain-timeout must be from 0 to 86400 seconds, not -1."),
            (["serve", "--receive-timeout", "0"], [:], "--receive-timeout must be from 1 to 86400 seconds, not 0."),
            (["serve", "--log-level", "loud"], [:], "--log-level must be one of trace, debug, info, notice, "),
            (["serve", "--cors-origin", "x"], [:], "--cors-origin must be * or origins such as https://example.org"),
            (["serve", "--tls-key", "k.pem"], [:], "--tls-certificate and --tls-key need each other."),
            (["serve", "--metrics-host", "::1"], [:], "--metrics-host needs --metrics-port."),
            (
                ["serve", "--port=9", "--metrics-port=9"], [:],
                "--port and --metrics-port are both 9: the metrics need a port of their own."
            ),
            (
                ["serve", "--port=9", "--host=::"],
                ["WEIGHT_INIT_METRICS_PORT": "9", "WEIGHT_INIT_METRICS_HOST": "127.0.0.1"],
                "--port and --metrics-port are both 9: "
            ),
            (
                ["serve", "--max-body-bytes", "134217728"], [:],
                "weight-init: --max-upload-memory must be at least --max-body-bytes (134217728).\n"
            ),
            (
                ["serve", "--max-body-memory", "256M"], [:],
                "--max-body-memory must be a whole number of bytes without a unit, at least 0, not 256M."
            ),
            (
                ["serve"], ["WEIGHT_INIT_MAX_TENSOR_BYTES": "1e9"],
                "WEIGHT_INIT_MAX_TENSOR_BYTES must be a whole number of bytes without a unit, at least 1, not 1e9."
            ),
            (
                ["serve", "--drain-timeout=30s"], [:],
                "--drain-timeout must be a whole number of seconds without a unit, from 0 to 86400, not 30s."
            ),
            (
                ["serve", "--port", "8080/tcp"], [:],
                "--port must be a whole number without a unit, from 0 to 65535, not 8080/tcp."
            ),
            (["serve"], ["WEIGHT_INIT_PORT": "x"], "WEIGHT_INIT_PORT must be from 0 to 65535, not x."),
            (
                ["serve"], ["WEIGHT_INIT_MAX_BODY_BYTES": ""],
                "WEIGHT_INIT_MAX_BODY_BYTES must be from 0 to 1073741824, not empty."
            ),
            (["serve", "--port", ""], [:], "--port must be from 0 to 65535, not empty."),
            (
                ["serve"], ["WEIGHT_INIT_TOKEN_FILE": ""],
                "WEIGHT_INIT_TOKEN_FILE must not be empty; unset it for the default."
            ),
            (["health"], ["WEIGHT_INIT_HOST": ""], "WEIGHT_INIT_HOST must not be empty; unset it for the default."),
            (
                ["serve", "--max-connections=9", "--max-connections-per-address=10"], [:],
                "weight-init: --max-connections-per-address must lie between 0 and --max-connections (9).\n"
            ),
            (
                ["serve", "--port=1"], ["WEIGHT_INIT_THREADS": "1"],
                "WEIGHT_INIT_THREADS must be from 2 to 1024, not 1."
            ),
            (["serve", "--token-file", "/dev/zero"], [:], "--token-file: /dev/zero is longer than 16 MiB"),
            (
                ["serve", "--token-file", "/nowhere"], [:],
                "--token-file: cannot read /nowhere: No such file or directory"
            ),
            (["health", "--port", "1"], [:], "not healthy at 127.0.0.1 port 1: cannot connect: Connection refused"),
            (["health", "--host", "x"], [:], "not a numeric address"),
            (
                ["health"], ["WEIGHT_INIT_METRICS_PORT": "1", "WEIGHT_INIT_METRICS_HOST": "127.0.0.2"],
                "not healthy at 127.0.0.2 port 1: "
            ),
            (["health", "--port", "2"], ["WEIGHT_INIT_METRICS_PORT": "1"], "not healthy at 127.0.0.1 port 2: "),
            (["health", "--unix-socket", "/x"], ["WEIGHT_INIT_METRICS_PORT": "1"], "not healthy at /x: "),
            (["health", "--port", "2", "--metrics-port", "1"], [:], "not healthy at 127.0.0.1 port 1: "),
        ] as [([String], [String: String], String)]
    )
    func mistakes(_ arguments: [String], _ environment: [String: String], _ sentence: String) throws {
        let result = try run(arguments, environment)
        #expect(result.status != 0)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("weight-init: "))
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test("A server answers health, keeps its port from a second server, and stops on SIGTERM")
    func lifeCycle() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        #expect(try run("health", "--port", server.port).status == 0)
        #expect(try run(["health"], ["WEIGHT_INIT_PORT": server.port]).status == 0)
        let second = try run("serve", "--port", server.port)
        #expect(second.status != 0)
        #expect(second.errors == "weight-init: Port \(server.port) on 127.0.0.1 is taken by another program.\n")
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        #expect(try run("health", "--port", server.port).status == 1)
    }

    @Test("A server prints its address in one line and nothing else")
    func output() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        #expect(server.line.wholeMatch(of: /weight-init serves at http:\/\/127\.0\.0\.1:[1-9][0-9]*\n/) != nil)
        let client = try server.client()
        #expect(try client.get("/livez").status == 200)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        #expect(server.restOfOutput().isEmpty)
    }

    @Test("Every option is an environment variable")
    func environmentOfOptions() throws {
        let help = try run("serve", "--help").output
        let options = help.matches(of: /\n  --([a-z-]+) </).map { String($0.1) }
        #expect(options.count > 20)
        // A missing directory of models is only logged.
        for option in options where option != "models" {
            let variable = "WEIGHT_INIT_" + option.uppercased().replacing("-", with: "_")
            // A plain ! would be a valid path for a socket.
            let value = option == "unix-socket" ? "/nowhere/!" : "!"
            let result = try run(["serve", "--port=0"], [variable: value])
            #expect(result.status != 0, "\(option)")
            let isText = ["host", "metrics-host", "token-file", "tls-certificate", "tls-key"].contains(option)
            let fault = "\(variable) must be "
            let isAddress = ["host", "unix-socket"].contains(option)
            let words = isAddress ? value : isText ? "--\(option)" : fault
            #expect(option == "port" || result.errors.contains(words), "\(option): \(result.errors)")
            #expect(result.output.isEmpty)
        }
    }

    @Test("Health fails for a silent server and for another protocol")
    func unhealthy() throws {
        let listener = try Listener()
        let silent = try run("health", "--port", String(listener.port), "--timeout", "1")
        #expect(silent.status == 1)
        #expect(silent.errors.contains("no answer"))
        listener.answerNext("SSH-2.0-x\r\n")
        let other = try run("health", "--port", String(listener.port), "--timeout", "5")
        #expect(other.status == 1)
        #expect(other.errors.split(separator: "\n").count == 1)
    }

    @Test("Options override environment variables")
    func environment() throws {
        let server = try Server(
            ["serve", "--port=0"],
            ["WEIGHT_INIT_HOST": "::1", "WEIGHT_INIT_PORT": "1", "WEIGHT_INIT_LOG_LEVEL": "critical"]
        )
        defer { server.kill() }
        #expect(server.line.hasPrefix("weight-init serves at http://[::1]:"))
        #expect(try run(["health", "--port", server.port], ["WEIGHT_INIT_HOST": "::"]).status == 0)
        server.signal(SIGINT)
        #expect(server.wait() == .exited(0))
        #expect(server.errors().isEmpty)
    }

    @Test(
        "A variable for tokens that nothing reads ends the start of a service without tokens",
        arguments: ["WEIGHT_INIT_TOKENS", "WEIGHT_INIT_AUTH_TOKEN", "WEIGHT_INIT_TOKENFILE"]
    )
    func variablesForTokens(_ name: String) throws {
        let result = try run(["serve", "--port=0", "--host=::1"], [name: "a", "WEIGHT_INIT_TOKEN": "b"])
        #expect(result.status == 64)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("weight-init: nothing reads \(name), and without tokens "))
        #expect(result.errors.contains("WEIGHT_INIT_TOKEN_FILE names the file"))
    }

    @Test("A service with tokens starts beside a variable for tokens that nothing reads, and warns")
    func variablesBesideTokens() throws {
        let workplace = try Workplace()
        try workplace.write("secret".utf8, to: "tokens")
        let server = try Server(
            ["serve", "--port=0", "--token-file", workplace.path("tokens")],
            ["WEIGHT_INIT_TOKENS": "a", "WEIGHT_INIT_TOKENS_SERVICE_HOST": "10.0.0.1"]
        )
        defer { server.kill() }
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        #expect(server.errors().contains("nothing reads: WEIGHT_INIT_TOKENS (did you mean WEIGHT_INIT_TOKEN_FILE?)\n"))
    }

    @Test("Unknown variables are one warning, which suggests the nearest known names")
    func unknownVariables() throws {
        let server = try Server(
            ["serve", "--port=0"],
            [
                "WEIGHT_INIT_PROT": "1", "WEIGHT_INIT_MAX_LAYER": "5", "WEIGHT_INIT_QQQQ": "",
                "WEIGHT_INIT_TIMEOUT": "3", "WEIGHT_INIT_TOKEN": "a", "WEIGHT_INIT_TLS_CERT": "a",
                "WEIGHT_INIT_URL": "http://localhost:8080", "WEIGHT_INIT_KERNEL": "portable",
                "WEIGHT_INIT_PORT": "tcp://10.0.0.1:8080", "WEIGHT_INIT_SERVICE_HOST": "10.0.0.1",
                "WEIGHT_INIT_SERVICE_PORT_HTTP": "8080", "WEIGHT_INIT_PORT_8080_TCP_PROTO": "tcp",
                "WEIGHT_INIT_METRICS_PORT_9_TCP": "tcp://10.0.0.2:9",
            ]
        )
        defer { server.kill() }
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        let warnings = server.errors().split(separator: "\n").filter { $0.contains(" warning ") }
        #expect(warnings.count == 1)
        #expect(
            warnings.first?.hasSuffix(
                " warning environment variables that nothing reads: "
                    + "WEIGHT_INIT_MAX_LAYER (did you mean WEIGHT_INIT_MAX_LAYERS?), "
                    + "WEIGHT_INIT_PROT (did you mean WEIGHT_INIT_PORT?), WEIGHT_INIT_QQQQ, "
                    + "WEIGHT_INIT_TLS_CERT (did you mean WEIGHT_INIT_TLS_CERTIFICATE?), "
                    + "WEIGHT_INIT_TOKEN (clients read it; serve reads a file, --token-file)"
            ) == true,
            "\(warnings)"
        )
    }

    @Test("Service and metrics may have the same port at different addresses")
    func samePort() throws {
        let first = try Server(["serve", "--port=0"], [:])
        first.signal(SIGTERM)
        #expect(first.wait() == .exited(0))
        let port = first.port
        let server = try Server(["serve", "--port", port, "--metrics-port", port, "--metrics-host=127.0.0.2"], [:])
        defer { server.kill() }
        #expect(server.line.contains("metrics at http://127.0.0.2:\(port)/metrics"))
    }

    @Test("The address that Kubernetes puts into WEIGHT_INIT_PORT is ignored")
    func kubernetes() throws {
        let result = try run(["health", "--port", "1"], ["WEIGHT_INIT_PORT": "tcp://10.0.0.1:8080"])
        #expect(result.errors.contains("port 1:"))
    }

    @Test("A second signal ends the server at once")
    func secondSignal() throws {
        let server = try Server(["serve", "--port", "0", "--drain-delay", "60"], [:])
        defer { server.kill() }
        server.signal(SIGTERM)
        // The server is alive while it drains.
        #expect(try server.logs("draining"))
        #expect(try run("health", "--port", server.port).status == 0)
        let client = try server.client()
        let readiness = try client.get("/readyz")
        #expect(readiness.status == 503)
        #expect(readiness["Retry-After"] != nil)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(128 + SIGTERM))
    }
}
