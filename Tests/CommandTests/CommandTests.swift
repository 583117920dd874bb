import Foundation
import Glibc
import TestSupport
import Testing

@Suite("The command", .serialized)
struct CommandTests {
    @Test("says its version and explains itself")
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

    @Test(
        "says in a sentence what is wrong",
        arguments: [
            (["serve", "--port", "70000"], [:], "The value '70000' is invalid for '--port <port>'"),
            (["serve", "--prot", "1"], [:], "Did you mean '--port'?"),
            (["serve", "--threads", "1"], [:], "threads must be between 2 and 1024"),
            (["serve", "--host", "localhost"], [:], "\"localhost\" is not an IPv4 or IPv6 address in numbers."),
            (["serve", "--max-tensor-bytes", "0"], [:], "--max-tensor-bytes must be at least 1."),
            (
                ["serve", "--max-matrix-elements", "2147483648"], [:],
                "--max-matrix-elements must be at most 2147483647."
            ),
            (["serve", "--max-rounds", "9000000000000000000"], [:], "--max-rounds must be at most 1099511627776."),
            (["serve", "--drain-timeout=-1"], [:], "--drain-timeout must be from 0 to 86400 seconds."),
            (["serve", "--log-level", "loud"], [:], "it is one of trace, debug"),
            (["serve"], ["WEIGHT_INIT_PORT": "x"], "In the environment: The value 'x' is invalid for '--port <port>'"),
            (["serve"], ["WEIGHT_INIT_MAX_BODY_BYTES": ""], "In the environment: "),
            (["health", "--port", "1"], [:], "not healthy at 127.0.0.1 port 1: cannot connect: Connection refused"),
            (["health", "--host", "x"], [:], "not an address in numbers"),
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

    @Test("says so where OpenBLAS cannot be loaded, and does all that needs none")
    func missingLibrary() throws {
        let workplace = try Workplace()
        try workplace.write([], to: "libopenblas.so.0")
        let environment = ["LD_LIBRARY_PATH": workplace.directory.path]
        let server = try Server(["serve", "--port", "0"], environment)
        defer { server.kill() }
        for (method, status) in [("orthogonal", 500), ("orthogonal", 500), ("uniform", 200)] {
            let client = try server.client()
            client.send("GET /init?method=\(method)&shape=4,4&format=raw HTTP/1.1\r\nHost: a\r\n\r\n")
            let response = try client.readResponse()
            #expect(response.status == status)
            let text = String(decoding: response.body, as: UTF8.self)
            #expect(text.contains("orthogonal needs OpenBLAS, which cannot be loaded: ") == (status == 500))
        }
        let explained = try run(["explain", "--method", "orthogonal", "--shape", "4,4"], environment)
        #expect(explained.status == 0, "\(explained.errors)")
    }

    @Test("serves, is healthy, refuses a second on its port, and ends well when asked to")
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

    @Test("prints its address in one line, and nothing else")
    func output() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        #expect(server.line.wholeMatch(of: /weight-init serves at http:\/\/127\.0\.0\.1:[1-9][0-9]*\n/) != nil)
        let client = try server.client()
        client.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.readResponse().status == 200)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        #expect(server.restOfOutput().isEmpty)
    }

    @Test("every option can be set in the environment")
    func environmentOfOptions() throws {
        let help = try run("serve", "--help").output
        let options = help.matches(of: /\n  --([a-z-]+) </).map { String($0.1) }
        #expect(options.count > 20)
        for option in options {
            let variable = "WEIGHT_INIT_" + option.uppercased().replacing("-", with: "_")
            // As a path, ! could be a socket's.
            let value = option == "unix-socket" ? "/nowhere/!" : "!"
            let result = try run(["serve", "--port=0"], [variable: value])
            #expect(result.status != 0, "\(option)")
            let isText = ["host", "metrics-host", "token-file", "tls-certificate", "tls-key"].contains(option)
            let fault = "In the environment: The value '!' is invalid for '--\(option) "
            let isAddress = ["host", "unix-socket"].contains(option)
            let words = isAddress ? value : isText ? "--\(option)" : fault
            #expect(option == "port" || result.errors.contains(words), "\(option): \(result.errors)")
            #expect(result.output.isEmpty)
        }
    }

    @Test("health gives up on what does not answer, and on what is not the service")
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

    @Test("takes the environment, and options before it")
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

    @Test("is not confused by what Kubernetes calls WEIGHT_INIT_PORT")
    func kubernetes() throws {
        let result = try run(["health", "--port", "1"], ["WEIGHT_INIT_PORT": "tcp://10.0.0.1:8080"])
        #expect(result.errors.contains("port 1:"))
    }

    @Test("ends at once on a second signal")
    func secondSignal() throws {
        let server = try Server(["serve", "--port", "0", "--drain-delay", "60"], [:])
        defer { server.kill() }
        server.signal(SIGTERM)
        // Draining, it still lives.
        #expect(try server.logs("draining"))
        #expect(try run("health", "--port", server.port).status == 0)
        let client = try server.client()
        client.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        let readiness = try client.readResponse()
        #expect(readiness.status == 503)
        #expect(readiness["Retry-After"] != nil)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(128 + SIGTERM))
    }
}
