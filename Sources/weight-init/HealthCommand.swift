import ArgumentParser
import Glibc
import HTTPDaemon
import Settings

struct HealthCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Check whether the service on this machine is alive: exit code 0 if it is, else 1.",
        discussion: .beginning(
            with: [
                "weight-init health",
                "weight-init health --port 9000 --timeout 1",
                "weight-init health --unix-socket /run/weight-init.sock",
            ],
            """
            For a container's HEALTHCHECK. It reads the address from the same options and environment variables as serve. A \
            service with TLS needs --tls-certificate here, too.
            """
        )
    )

    @OptionGroup
    var options: TableOptions<HealthTable>

    func run() throws {
        let settings = try options.values(withEnvironment: true)
        let daemon = settings.service.daemon
        do throws(ProbeError) {
            let probe = HTTPProbe(
                host: reachable(daemon.host),
                port: daemon.port,
                socketPath: daemon.socketPath,
                timeout: Int(settings.timeout.components.seconds),
                usesTLS: settings.service.tlsCertificate != nil
            )
            let status = try probe.status(of: "/livez")
            guard status == 200 else { throw ProbeError(reason: "it answered with \(status)") }
        } catch  where error.isOfAddress {
            throw ValidationError(error.reason)
        } catch {
            let address = daemon.socketPath ?? "\(daemon.host) port \(daemon.port)"
            let hint = error.isOfTLS ? "; --tls-certificate, or WEIGHT_INIT_TLS_CERTIFICATE, makes health use TLS" : ""
            printError("not healthy at \(address): \(error.reason)\(hint)")
            throw ExitCode(1)
        }
    }

    /// The address in numbers, which is the loopback address for a service that listens on all.
    private func reachable(_ host: String) -> String {
        switch host {
        case "0.0.0.0": "127.0.0.1"
        case "::": "::1"
        default: DaemonConfiguration.numericHost(host)
        }
    }
}

/// Settings of `health`: the service's own, and a timeout.
struct HealthSettings {
    var service = ServeSettings()
    var timeout = Duration.seconds(3)
}

/// The options of `health`.
enum HealthTable: SettingTable {
    static let defaults = HealthSettings()
    static let settings: [Setting<HealthSettings>] =
        ServeSettings.settings.filter { ["host", "port", "unix-socket", "tls-certificate"].contains($0.name) }
        .map { $0.within(\.service) } + [
            Setting("timeout", \.timeout, .seconds(1) ... .seconds(3600), "Seconds to wait for an answer.")
        ]
}
