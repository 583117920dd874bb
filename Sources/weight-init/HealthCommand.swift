import ArgumentParser
import ByteText
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
            For a container's HEALTHCHECK. It reads the address from the same options and environment variables as serve. If the \
            metrics have a port of their own, health asks that one, which answers also while clients hold all connections \
            of the other; --port or --unix-socket on the command line makes it ask the service's own. A service with TLS \
            needs --tls-certificate here, too.
            """
        )
    )

    @OptionGroup
    var options: TableOptions<HealthTable>

    func run() throws {
        let settings = try options.values(withEnvironment: true)
        let isAsked = { (name: Text) in options.given.contains { $0.name == name } }
        let target = settings.service.probed(
            atMetrics: isAsked("metrics-port") || !isAsked("port") && !isAsked("unix-socket")
        )
        do throws(ProbeError) {
            let probe = HTTPProbe(
                host: reachable(target.host),
                port: target.port,
                socketPath: target.socketPath,
                timeout: Int(settings.timeout.components.seconds),
                usesTLS: target.usesTLS
            )
            let status = try probe.status(of: "/livez")
            guard status == 200 else { throw ProbeError(reason: "it answered with \(status)") }
        } catch  where error.isOfAddress {
            throw ValidationError(error.reason)
        } catch {
            let address = target.socketPath ?? "\(target.host) port \(target.port)"
            let hint = error.isOfTLS ? "; --tls-certificate, or WEIGHT_INIT_TLS_CERTIFICATE, makes health use TLS" : ""
            printError("not healthy at \(address): \(error.reason)\(hint)")
            throw ExitCode(1)
        }
    }

    /// The numeric address to connect to: the loopback address if the service listens on all interfaces.
    private func reachable(_ host: String) -> String {
        switch host {
        case "0.0.0.0": "127.0.0.1"
        case "::": "::1"
        default: DaemonConfiguration.numericHost(host)
        }
    }
}

extension ServeSettings {
    /// Address of the probes.
    ///
    /// - Parameter prefersMetrics: `true` for that of the metrics, if they have a port of their own. It is always plain HTTP.
    fileprivate func probed(
        atMetrics prefersMetrics: Bool
    ) -> (host: String, port: UInt16, socketPath: String?, usesTLS: Bool) {
        if prefersMetrics, let metricsPort { return (metricsHost ?? daemon.host, metricsPort, nil, false) }
        return (daemon.host, daemon.port, daemon.socketPath, tlsCertificate != nil)
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
    /// Settings that tell where the service is, with their help.
    private static let shared = [
        "host": "Address of the service; localhost, 0.0.0.0 and :: mean this machine.",
        "port": "Port of the service.",
        "unix-socket": "Path of the service's Unix domain socket, instead of address and port.",
        "tls-certificate": "With any value health speaks TLS; the file is not read.",
        "metrics-port": "Port for /metrics and the probes, which is asked in plain HTTP if there is one.",
        "metrics-host": "Address of that port; without it the one of --host.",
    ]
    static let settings: [Setting<HealthSettings>] =
        ServeSettings.settings.compactMap { setting in shared[setting.name].map { setting.helping($0) } }
        .map { $0.within(\.service) } + [
            Setting(
                "timeout",
                in: .connections,
                \.timeout,
                .seconds(1) ... .seconds(3600),
                "Seconds to wait for an answer."
            )
        ]
}
