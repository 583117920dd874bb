import ByteText
import HTTPDaemon
import InitAPI
import InitService
import Logging
import Settings

/// Everything that the operator of a service can set.
struct ServeSettings: Configurable {
    var daemon = DaemonConfiguration()
    var limits = ServiceLimits()
    var models: String?
    var tokenFile: String?
    var tlsCertificate: String?
    var tlsKey: String?
    var crossOrigin: CrossOrigin?
    var pathPrefix: PathPrefix?
    var serverTiming = Switch.off
    var metricsPort: UInt16?
    var metricsHost: String?
    var drainDelay = Duration.zero
    var drainTimeout = Duration.seconds(30)
    var logLevel = Logger.Level.notice
    var logFormat = LogFormat.text

    static let settings: [Setting<ServeSettings>] =
        DaemonConfiguration.settings.map { $0.within(\.daemon) }
        + ServiceLimits.settings.map { $0.within(\.limits) }
        + [
            Setting(
                "models",
                in: .catalogue,
                \.models,
                isFile: true,
                "Directory of models: organisation/name/init.json, and files beside it."
            ),
            Setting(
                "token-file",
                in: .access,
                \.tokenFile,
                isFile: true,
                "File of accepted bearer tokens, one a line; without it the service needs none."
            ),
            Setting(
                "tls-certificate",
                in: .access,
                \.tlsCertificate,
                isFile: true,
                "PEM file of the certificate and its chain; with it the service speaks TLS and nothing else."
            ),
            Setting("tls-key", in: .access, \.tlsKey, isFile: true, "PEM file of the certificate's key."),
            Setting(
                "cors-origin",
                in: .access,
                \.crossOrigin,
                accepted: "* or origins such as https://example.org, separated by commas",
                "Origins whose pages may read replies."
            ) { CrossOrigin(list: Text($0)) },
            Setting(
                "path-prefix",
                in: .addresses,
                \.pathPrefix,
                accepted: "a path such as /weights",
                "Path at which a proxy has the service; the proxy may take it off its requests or not."
            ) { PathPrefix(Text($0)) },
            Setting(
                "server-timing",
                in: .operation,
                \.serverTiming,
                "on adds Server-Timing to replies: plan, queue and make in milliseconds; small replies are then not cached."
            ),
            Setting(
                "metrics-port",
                in: .addresses,
                \.metricsPort,
                "Port for /metrics and the probes, in plain HTTP and without tokens; /metrics is then served there alone."
            ),
            Setting(
                "metrics-host",
                in: .addresses,
                \.metricsHost,
                "Address of that port; without it the one of --host."
            ),
            Setting(
                "drain-delay",
                in: .operation,
                \.drainDelay,
                .zero ... .seconds(86400),
                "Seconds from /readyz turning 503 until the service stops accepting connections."
            ),
            Setting(
                "drain-timeout",
                in: .operation,
                \.drainTimeout,
                .zero ... .seconds(86400),
                "Seconds that active replies have to finish."
            ),
            Setting("log-level", in: .operation, \.logLevel, "Least severe level that is logged to standard error."),
            Setting(
                "log-format",
                in: .operation,
                \.logFormat,
                "Format of log lines; at the level info each request has one."
            ),
        ]
}

/// A setting that is on or off.
enum Switch: String, CaseIterable, Sendable {
    case on
    case off
}

/// The options of `serve`, under all headings.
enum ServeTable: SettingTable {
    static let defaults = ServeSettings()
    static let settings = ServeSettings.settings

    /// A sentence of the daemon, which knows settings by their names, with the hyphens of the command's options.
    static func namingOptions(in sentence: String) -> String {
        let names = Set(settings.map(\.name))
        return sentence.split(separator: " ").map { names.contains(String($0)) ? "--" + $0 : String($0) }
            .joined(separator: " ")
    }
}

extension ServeSettings {
    /// The daemon's configuration, with the limits that both apply.
    func configuration(_ logger: Logger) -> DaemonConfiguration {
        var configuration = daemon
        configuration.bodyLimit = limits.maximumBodyBytes
        configuration.deferred.memoryLimit = limits.maximumWorkBytes
        configuration.log = logger.daemonLog
        return configuration
    }

    /// The service's limits.
    var serviceLimits: ServiceLimits {
        var limits = limits
        limits.maximumLocationBytes = daemon.connectionMemory / 2
        return limits
    }

    /// The configuration of the daemon for metrics, which serves a scraper or two, and probes.
    func metricsConfiguration(_ port: UInt16, _ logger: Logger) -> DaemonConfiguration {
        var configuration = DaemonConfiguration()
        configuration.host = metricsHost ?? daemon.host
        configuration.port = port
        configuration.connectionLimit = 64
        configuration.bodyLimit = 0
        configuration.log = logger.daemonLog
        return configuration
    }

    /// The port at which both the service and its metrics would listen; `nil` if there is none.
    var sharedPort: UInt16? {
        guard let metricsPort, metricsPort == daemon.port, metricsPort != 0, daemon.socketPath == nil else {
            return nil
        }
        let hosts = [daemon.host, metricsHost ?? daemon.host].map { Text(DaemonConfiguration.numericHost($0)) }
        // 0.0.0.0 includes every IPv4 address, and :: includes every address.
        let isShared =
            hosts[0] == hosts[1] || hosts.contains("::")
            || hosts.contains("0.0.0.0") && !hosts.contains { $0.contains(":" as Unicode.Scalar) }
        return isShared ? metricsPort : nil
    }

    /// Reads the directory of models, if there is one. Logs each model that cannot be read or made, and a directory
    /// that cannot be read.
    ///
    /// - Parameter consequence: End of the log line about a directory that cannot be read. The catalogue then stays as
    ///   it was.
    func readModels(into catalogue: ModelCatalogue, _ logger: Logger, otherwise consequence: String) {
        guard let models else { return }
        do {
            let read = try ModelDirectory(path: models, limits: serviceLimits).models { fault in
                logger.warning("--models: \(fault)")
            }
            catalogue.replace(by: read)
            logger.notice("read the models in \(models): \(read.count)")
            if read.isEmpty {
                logger.warning("--models: no model in \(models); each is a file organisation/name/init.json")
            }
        } catch {
            logger.error("--models: \(error); \(consequence)")
        }
    }

    /// `true` if there are files that SIGHUP makes the service read again.
    var hasFiles: Bool {
        models != nil || tokenFile != nil || tlsCertificate != nil
    }

    func identity() throws -> TLSIdentity? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return try TLSIdentity(certificateFile: tlsCertificate, keyFile: tlsKey)
    }
}

extension Logger {
    /// Logs the messages of a daemon.
    fileprivate var daemonLog: @Sendable (_ message: String, _ isFault: Bool) -> Void {
        { log(level: $1 ? .error : .debug, "\($0)") }
    }
}
