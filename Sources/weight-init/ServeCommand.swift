import ArgumentParser
import ByteText
import Glibc
import HTTPDaemon
import HTTPExchange
import InitAPI
import InitService
import Logging
import TorchRandom
import WeightInit

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve until SIGTERM or SIGINT.",
        discussion: .beginning(
            with: [
                "weight-init serve",
                "weight-init serve --host 0.0.0.0 --port 9000 --log-level info",
                "weight-init serve --models /srv/models --token-file tokens.txt",
            ],
            """
            Prints its address when it is ready, and the address of the metrics if they have a port of their own. In a \
            browser, the address shows a page to try the service.

            On SIGTERM or SIGINT /readyz turns 503. After --drain-delay the service stops accepting connections, and \
            active replies have --drain-timeout to finish. A second signal ends it at once. SIGHUP makes it read \
            --models, --token-file, --tls-certificate and --tls-key again; if its terminal was closed, it ends.
            """
        )
    )

    @OptionGroup
    var options: ServeOptions

    func run() throws {
        do {
            try serve()
        } catch DaemonError.invalidConfiguration(let reason) {
            throw ValidationError(ServeTable.namingOptions(in: reason) + ".")
        } catch let error as DaemonError where error.isOfConfiguration {
            throw ValidationError(error.description)
        }
    }

    private func serve() throws {
        let settings = try options.values()
        guard (settings.tlsCertificate == nil) == (settings.tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key need each other.")
        }
        guard settings.metricsHost == nil || settings.metricsPort != nil else {
            throw ValidationError("--metrics-host needs --metrics-port.")
        }
        if let port = settings.sharedPort {
            throw ValidationError("--port and --metrics-port are both \(port): the metrics need a port of their own.")
        }
        let hasTokens = settings.tokenFile != nil
        if let mistake = Environment.missingTokens(hasTokens: hasTokens) { throw ValidationError(mistake) }
        let host = settings.daemon.host
        var logger = Logger(label: "weight-init") { _ in LineLogHandler(settings.logFormat) }
        logger.logLevel = settings.logLevel

        if let warning = Environment.warning(hasTokens: hasTokens) { logger.warning("\(warning)") }
        if let shortage = OpenFiles.makeRoom(forConnections: settings.daemon.connectionLimit) {
            logger.warning("\(shortage)")
        }
        let memory = MemoryBudget(settings)
        logger.info("memory of the service: at most \(memory.sum.mebibytes) MiB")
        if let shortage = memory.shortage() { logger.warning("\(shortage)") }
        if let name = Kernels.ignoredName {
            let names = Kernels.all.map(\.name).joined(separator: ", ")
            logger.warning(
                "WEIGHT_INIT_KERNEL is \(name), and this processor has \(names): \(Kernels.selected.name) is used"
            )
        }
        // Before the first thread starts: threads inherit the blocked signals, so that only this one receives them.
        let signals = TerminationSignals()
        if !Libm.deviation.isEmpty {
            logger.warning(
                "functions such as log, sin and cos of this host have other last bits than PyTorch's: \(Libm.consequence)"
            )
        }
        var policy = ServicePolicy()
        policy.tokens = try settings.tokenFile.map { try AccessTokens(file: $0) }
        policy.crossOrigin = settings.crossOrigin
        policy.pathPrefix = settings.pathPrefix
        policy.timesResponses = settings.serverTiming == .on
        policy.metricsAreApart = settings.metricsPort != nil
        LinearAlgebra.setThreadLimit(settings.daemon.deferred.threadCount)
        let models = ModelCatalogue()
        settings.readModels(into: models, logger, otherwise: "without it, the built-in models are served")
        let service = InitService(limits: settings.serviceLimits, policy: policy, models: models, logger: logger)
        var configuration = settings.configuration(logger)
        configuration.identity = try settings.identity()
        // First, so that no request is served before both ports are known to be free.
        let metricsDaemon = try settings.metricsPort.map { port in
            try HTTPDaemon(
                configuration: settings.metricsConfiguration(port, logger),
                handler: MetricsService(of: service)
            )
        }
        let daemon = try HTTPDaemon(configuration: configuration, handler: service)
        service.observe { [weak daemon] in daemon?.load ?? TransportLoad() }
        let scheme = configuration.identity == nil ? "http" : "https"
        let address = configuration.socketPath.map { "unix:\($0)" } ?? "\(scheme)://\(authority(host, daemon.port))"
        var announcement = ["weight-init serves at \(address)"]
        if let metricsDaemon {
            let address = authority(settings.metricsHost ?? host, metricsDaemon.port)
            announcement.append("weight-init serves metrics at http://\(address)/metrics")
        }
        // In one write, so that a reader of the first line gets the second, too. The service runs even if this output
        // fails.
        try? StandardOutput.writeLine(announcement.joined(separator: "\n"))

        let signal = signals.wait {
            guard settings.hasFiles else {
                logger.notice("SIGHUP: neither --models, --token-file nor --tls-certificate has files to read again")
                return
            }
            if let tokenFile = settings.tokenFile, let tokens = policy.tokens {
                do {
                    try tokens.reload(file: tokenFile)
                    logger.notice("read the tokens again: \(tokens.count)")
                } catch {
                    logger.error("the old tokens stay valid: \(error)")
                }
            }
            settings.readModels(into: models, logger, otherwise: "the old models stay")
            do {
                guard let identity = try settings.identity() else { return }
                try daemon.renew(identity)
                logger.notice("read the certificate again")
            } catch {
                logger.error("the old certificate stays in use: \(error)")
            }
        }
        LastResort.endProcess(
            after: Int((settings.drainDelay + settings.drainTimeout).components.seconds) + LastResort.grace,
            logging: settings.logFormat
        )
        logger.notice("signal \(signal): draining")
        service.beginDraining()
        sleep(UInt32(settings.drainDelay.components.seconds))
        daemon.quiesce()
        if !daemon.drain(for: settings.drainTimeout) {
            let count = daemon.activeExchanges
            logger.warning("\(count) active \(count == 1 ? "reply is" : "replies are") cut off")
        }
        daemon.stop()
        metricsDaemon?.stop()
        logger.notice("stopped")
    }

    private func authority(_ host: String, _ port: UInt16) -> String {
        "\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
