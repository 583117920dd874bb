import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Tokens, TLS and the metrics' port", .serialized)
struct SecurityTests {
    private let directory: Directory

    init() throws {
        directory = try Directory()
    }

    private func status(_ server: Server, _ token: String) throws -> Int {
        let client = try server.client()
        return try client.get("/gain", "Authorization: Bearer \(token)\r\n").status
    }

    // MARK: Tokens

    @Test("SIGHUP reloads the tokens, and an unreadable file changes nothing and is logged")
    func reload() throws {
        let file = try directory.write("old\n", to: "tokens")
        let server = try Server(["serve", "--port=0", "--token-file", file], [:])
        defer { server.kill() }
        #expect(try status(server, "old") == 200)
        #expect(try status(server, "new") == 401)
        #expect(try run("health", "--port", server.port).status == 0)

        try directory.write("# changed\nnew\n", to: "tokens")
        server.signal(SIGHUP)
        #expect(try server.logs("read the tokens again: 1"))
        #expect(try status(server, "old") == 401)
        #expect(try status(server, "new") == 200)

        try directory.write("secret with spaces\n", to: "tokens")
        server.signal(SIGHUP)
        #expect(try server.logs("line 1 has characters that a token cannot have"))
        #expect(try status(server, "new") == 200)

        try FileManager.default.removeItem(atPath: file)
        server.signal(SIGHUP)
        #expect(try server.logs("No such file or directory"))
        #expect(try status(server, "new") == 200)
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
        let log = server.errors()
        #expect(log.components(separatedBy: " error the old tokens stay valid: ").count == 3)
        #expect(!log.contains("secret"))
    }

    @Test("The token file comes from the environment unless an option overrides it")
    func precedence() throws {
        let (one, other) = (try directory.write("one\n", to: "one"), try directory.write("other\n", to: "other"))
        let server = try Server(["serve", "--port=0", "--token-file", other], ["WEIGHT_INIT_TOKEN_FILE": one])
        defer { server.kill() }
        #expect(try status(server, "one") == 401)
        #expect(try status(server, "other") == 200)
        let second = try Server(["serve", "--port=0"], ["WEIGHT_INIT_TOKEN_FILE": one])
        defer { second.kill() }
        #expect(try status(second, "one") == 200)
    }

    // MARK: TLS

    @Test("TLS 1.2 and 1.3 carry the same bytes, and plain HTTP and older TLS get none")
    func tls() throws {
        let (certificate, key) = try directory.makeCertificate()
        let secure = try Server(["serve", "--port=0", "--tls-certificate", certificate, "--tls-key", key], [:])
        defer { secure.kill() }
        let plain = try Server(["serve", "--port=0"], [:])
        defer { plain.kill() }
        #expect(secure.line == "weight-init serves at https://127.0.0.1:\(secure.port)\n")

        func curl(_ arguments: String...) throws -> Outcome {
            try tool("curl", ["-sS", "--cacert", certificate, "--max-time", "60"] + arguments)
        }
        let targets = [
            "/init?method=normal&shape=4000000&format=raw", "/init?method=ones&shape=300,100&format=npy",
            "/init?method=normal&shape=30000", "/init?method=orthogonal&shape=40,40&format=summary", "/gain",
        ]
        for target in targets {
            let files = try [plain, secure].map { server in
                let file = directory.path("body")
                let scheme = server === secure ? "https" : "http"
                let fetched = try curl("--fail", "-o", file, "\(scheme)://127.0.0.1:\(server.port)\(target)")
                #expect(fetched.status == 0, "\(fetched.errors)")
                return try Data(contentsOf: URL(filePath: file))
            }
            #expect(!files[0].isEmpty && files[0] == files[1], "\(target)")
        }
        // Many on one connection, several connections, ranges, uploads.
        let url = "https://127.0.0.1:\(secure.port)"
        let many = try curl(
            "-w",
            "%{http_code} %{num_connects}\\n",
            "-o",
            "/dev/null",
            "-o",
            "/dev/null",
            "\(url)/gain",
            "\(url)/fan?shape=2,3"
        )
        #expect(many.output == "200 1\n200 0\n")
        let range = try curl(
            "-r",
            "4-11",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{size_download}",
            "\(url)/init?method=ones&shape=9&format=raw"
        )
        #expect(range.output == "206 8")
        let json = "Content-Type: application/json"
        let posted = try curl("-H", json, "-d", #"{"nonlinearity":"relu"}"#, "\(url)/gain")
        #expect(posted.output.contains("1.4142135623730951"))

        for version in ["1_2", "1_3"] {
            let session = try tool(
                "openssl",
                "s_client",
                "-connect",
                "127.0.0.1:\(secure.port)",
                "-tls\(version)",
                "-CAfile",
                certificate
            )
            #expect(session.output.contains("TLSv1.\(version.last ?? " ")"))
            #expect(session.output.contains("Verify return code: 0 (ok)"))
        }
        let old = try tool(
            "openssl",
            "s_client",
            "-connect",
            "127.0.0.1:\(secure.port)",
            "-tls1_1",
            "-cipher",
            "DEFAULT@SECLEVEL=0"
        )
        #expect(old.status != 0)

        let client = try secure.client()
        client.sendGet("/gain")
        #expect(!String(decoding: client.readToEnd(), as: UTF8.self).contains("HTTP/"))
        secure.signal(SIGTERM)
        #expect(secure.wait() == .exited(0))
    }

    @Test("Health speaks TLS if an option or variable names the certificate")
    func secureHealth() throws {
        let (certificate, key) = try directory.makeCertificate()
        let environment = ["WEIGHT_INIT_TLS_CERTIFICATE": certificate, "WEIGHT_INIT_TLS_KEY": key]
        let server = try Server(["serve", "--port=0"], environment)
        defer { server.kill() }
        #expect(server.line.contains("https://"))
        #expect(try run(["health", "--port", server.port], environment).status == 0)
        #expect(try run("health", "--port", server.port, "--tls-certificate", certificate).status == 0)
        let blind = try run("health", "--port", server.port)
        #expect(blind.status == 1)
        #expect(
            blind.errors == "weight-init: not healthy at 127.0.0.1 port \(server.port): it accepts TLS only; "
                + "--tls-certificate, or WEIGHT_INIT_TLS_CERTIFICATE, makes health use TLS\n"
        )
        let plain = try Server(["serve", "--port=0"], [:])
        defer { plain.kill() }
        let refused = try run(["health", "--port", plain.port], environment)
        #expect(refused.status == 1 && refused.errors.contains("no answer over TLS"))
    }

    @Test("SIGHUP reloads the certificate, and an unreadable file changes nothing and is logged")
    func renewal() throws {
        let (certificate, key) = try directory.makeCertificate()
        let (renewed, renewedKey) = try directory.makeCertificate("renewed")
        func replace(_ file: String, by other: String) throws {
            try Data(contentsOf: URL(filePath: other)).write(to: URL(filePath: file))
        }
        let first = directory.path("first.pem")
        try replace(first, by: certificate)
        let server = try Server(["serve", "--port=0", "--tls-certificate", certificate, "--tls-key", key], [:])
        defer { server.kill() }
        func isTrusted(by authority: String) throws -> Bool {
            let url = "https://127.0.0.1:\(server.port)/livez"
            return try tool("curl", "-sS", "--fail", "--max-time", "60", "--cacert", authority, url).status == 0
        }
        #expect(try isTrusted(by: first))
        #expect(try !isTrusted(by: renewed))

        // After the first replacement, certificate and key do not match.
        try replace(certificate, by: renewed)
        server.signal(SIGHUP)
        #expect(
            try server.logs(
                "error the old certificate stays in use: --tls-certificate \(certificate), --tls-key \(key): The certificate or "
            )
        )
        #expect(try isTrusted(by: first))
        try replace(key, by: renewedKey)
        server.signal(SIGHUP)
        #expect(try server.logs("notice read the certificate again"))
        #expect(try isTrusted(by: renewed))
        #expect(try !isTrusted(by: first))

        try FileManager.default.removeItem(atPath: key)
        server.signal(SIGHUP)
        #expect(try server.logs("error the old certificate stays in use: --tls-key: cannot read "))
        #expect(try isTrusted(by: renewed))
        server.signal(SIGTERM)
        #expect(server.wait() == .exited(0))
    }

    @Test("A download over TLS completes after SIGTERM")
    func secureDrain() throws {
        let (certificate, key) = try directory.makeCertificate()
        let server = try Server(["serve", "--port=0", "--tls-certificate", certificate, "--tls-key", key], [:])
        defer { server.kill() }
        let download = Process()
        let byteCount = 32 << 20
        download.executableURL = URL(filePath: "/usr/bin/env")
        download.arguments = [
            "curl", "-sS", "--cacert", certificate, "--limit-rate", "16M", "-o", directory.path("body"),
            "https://127.0.0.1:\(server.port)/init?method=normal&shape=\(byteCount / 4)&format=raw",
        ]
        try download.run()
        var begun = false
        for _ in 0..<5000 where !begun {
            begun = ((try? Data(contentsOf: URL(filePath: directory.path("body"))))?.count ?? 0) > 0
            usleep(2000)
        }
        try #require(begun)
        server.signal(SIGTERM)
        download.waitUntilExit()
        #expect(download.terminationStatus == 0)
        #expect(try Data(contentsOf: URL(filePath: directory.path("body"))).count == byteCount)
        #expect(server.wait() == .exited(0))
    }

    // MARK: The metrics' port

    @Test("The metrics port serves metrics and probes without tokens and TLS until the server stops")
    func metricsPort() throws {
        let file = try directory.write("token", to: "tokens")
        let server = try Server(
            ["serve", "--port=0", "--token-file", file, "--metrics-port=0", "--drain-delay=60"],
            [:]
        )
        defer { server.kill() }
        #expect(
            server.line == "weight-init serves at http://127.0.0.1:\(server.port)\n"
                + "weight-init serves metrics at http://127.0.0.1:\(server.metricsPort)/metrics\n"
        )
        #expect(try status(server, "token") == 200)
        func answer(_ path: String) throws -> RawClient.Response {
            let client = try RawClient(port: try #require(UInt16(server.metricsPort)))
            return try client.get(path)
        }
        let histogram = "http_server_request_duration_seconds_count"
        var metrics = try ParsedMetrics(try answer("/metrics").text)
        // The client may have its answer before the service has counted the request.
        for _ in 0..<5000 where metrics.sum(histogram) == 0 {
            usleep(2000)
            metrics = try ParsedMetrics(try answer("/metrics").text)
        }
        #expect(metrics[histogram, ["route": "/gain", "status": "200"]] == 1)
        #expect(metrics.sum(histogram) == 1)
        #expect(try answer("/readyz").status == 200 && answer("/gain").status == 404)
        let client = try server.client()
        #expect(try client.get("/metrics", "Authorization: Bearer token\r\n").status == 404)
        server.signal(SIGTERM)
        #expect(try server.logs("draining"))
        #expect(try answer("/readyz").status == 503)
        #expect(try ParsedMetrics(try answer("/metrics").text)["weight_init_draining", [:]] == 1)
    }

    // MARK: Invalid configurations

    @Test(
        "An unusable token or certificate file is one sentence",
        arguments: [
            (pair("server.pem", "other.key"), "The certificate and the given key do not match."),
            (pair("text", "server.key"), "/text holds no PEM block of a certificate"),
            (pair("server.pem", "text"), "/text holds no PEM block of a private key"),
            (pair("chain", "server.key"), "The certificate or its key cannot be used: "),
            (pair("server.key", "server.key"), "/server.key holds a private key; it has to hold a certificate\n"),
            (pair("server.pem", "server.pem"), "/server.pem holds a certificate; it has to hold a private key"),
            (
                pair("server.key", "server.pem"),
                "/server.key holds a private key; it has to hold a certificate; --tls-key: /"
            ),
            (
                pair("server.pem", "encrypted"),
                "/encrypted is encrypted; it has to hold a private key without a passphrase"
            ),
            (pair("request", "server.key"), "/request holds no PEM block of a certificate"),
            (pair("none", "server.key"), "--tls-certificate: cannot read "),
            (pair("server.pem", "none"), "No such file or directory"),
            (["--tls-certificate", "server.pem"], "--tls-certificate and --tls-key need each other."),
            (["--tls-key", "server.key"], "--tls-certificate and --tls-key need each other."),
            (["--token-file", "none"], "No such file or directory"),
            (["--token-file", "."], "Is a directory"),
            (["--token-file", "empty"], "the list has no token"),
            (["--cors-origin", "example.org"], "--cors-origin must be * or origins such as https://example.org"),
            (["--metrics-host", "::1"], "--metrics-host needs --metrics-port."),
            (
                ["--metrics-port", "0", "--metrics-host", "example"],
                "\"example\" is neither localhost nor a numeric IPv4 or IPv6 address"
            ),
        ] as [([String], String)]
    )
    func mistakes(_ arguments: [String], _ sentence: String) throws {
        _ = try directory.makeCertificate()
        _ = try directory.makeCertificate("other")
        try directory.write("nothing of the kind", to: "text")
        try directory.write("", to: "empty")
        // More certificates than the service has room for.
        let certificate = try String(contentsOfFile: directory.path("server.pem"), encoding: .utf8)
        try directory.write(String(repeating: certificate, count: 40), to: "chain")
        for (name, label) in [("encrypted", "ENCRYPTED PRIVATE KEY"), ("request", "CERTIFICATE REQUEST")] {
            try directory.write("-----BEGIN \(label)-----\nAAAA\n-----END \(label)-----\n", to: name)
        }
        let files = [
            "server.pem", "other.key", "server.key", "text", "none", ".", "empty", "encrypted", "request", "chain",
        ]
        let result = try run(
            ["serve", "--port=0"] + arguments.map { files.contains($0) ? directory.path($0) : $0 },
            [:]
        )
        #expect(result.status != 0)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("weight-init: "))
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    }

    @Test("A missing permission is one sentence")
    func permission() throws {
        // Only root can switch to a user with fewer permissions.
        guard geteuid() == 0 else { return }
        let file = try directory.write("token", to: "tokens")
        chmod(file, 0)
        chmod(directory.path, 0o755)
        let copy = directory.path("weight-init")
        try FileManager.default.copyItem(atPath: executable.path(percentEncoded: false), toPath: copy)
        func runAsNobody(_ arguments: [String]) throws -> Outcome {
            let line =
                "exec setpriv --reuid 65534 --regid 65534 --clear-groups \(copy) \(arguments.joined(separator: " "))"
            return try tool("sh", "-c", line)
        }
        guard try runAsNobody(["--version"]).status == 0 else { return }
        let unreadable = try runAsNobody(["serve", "--port=0", "--token-file", file])
        #expect(unreadable.status != 0)
        #expect(unreadable.errors == "weight-init: --token-file: cannot read \(file): Permission denied\n")
        let lowest = try String(contentsOfFile: "/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding: .utf8)
        guard let lowest = Int(lowest.trimmingCharacters(in: .whitespacesAndNewlines)), lowest > 81 else { return }
        let port = try runAsNobody(["serve", "--port=81"])
        #expect(port.status != 0)
        #expect(port.errors == "weight-init: This user may not listen on port 81 of 127.0.0.1.\n")
    }
}

/// Options of a certificate and its key.
private func pair(_ certificate: String, _ key: String) -> [String] {
    ["--tls-certificate", certificate, "--tls-key", key]
}
