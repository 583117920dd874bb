import ArgumentParser
import Glibc
import HTTPDaemon

struct HealthCommand: EnvironmentConfigurable {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Ask the service on this machine whether it lives: exits with 0 if it does, else with 1.",
        discussion: "For a container's HEALTHCHECK. Takes the address from the same variables as serve."
    )

    @Option(help: "Address that the service listens on, in numbers.")
    var host = "127.0.0.1"

    @Option(help: "Port that it listens on.")
    var port: UInt16 = 8080

    @Option(help: "Path of the socket in the file system that it listens at, instead.")
    var unixSocket: String?

    @Option(help: "The certificate that it serves with: then TLS is spoken. It is not read; whatever is shown will do.")
    var tlsCertificate: String?

    @Option(help: "Seconds to wait for an answer.")
    var timeout = 3

    mutating func validate() throws {
        guard (1...3600).contains(timeout) else {
            throw ValidationError("--timeout must be from 1 to 3600 seconds.")
        }
    }

    func run() throws {
        do throws(ProbeError) {
            let probe = HTTPProbe(
                host: reachableHost,
                port: port,
                socketPath: unixSocket,
                timeout: timeout,
                usesTLS: tlsCertificate != nil
            )
            let status = try probe.status(of: "/livez")
            guard status == 200 else { throw ProbeError(reason: "it answered with \(status)") }
        } catch {
            printError("not healthy at \(unixSocket ?? "\(host) port \(port)"): \(error.reason)")
            throw ExitCode(1)
        }
    }

    /// Who listens on all addresses is reached by the loopback one.
    private var reachableHost: String {
        switch host {
        case "0.0.0.0": "127.0.0.1"
        case "::": "::1"
        default: host
        }
    }
}
