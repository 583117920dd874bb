import ArgumentParser
import Glibc
import HTTPDaemon
import HTTPExchange
import InitService
import Logging
import WeightInit

struct ServeCommand: EnvironmentConfigurable {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve until SIGTERM or SIGINT.",
        discussion: """
            Prints the address in one line when it is ready, and the metrics' in another where they have one; in a browser, \
            the address is a page to try the service. On SIGTERM or SIGINT /readyz turns 503, then, after \
            --drain-delay, no connection is accepted any more, and what is in flight has --drain-timeout to end. A second \
            signal ends at once. On SIGHUP --token-file, --tls-certificate and --tls-key are read again.
            """
    )

    @Option(help: "Address to listen on, in numbers; :: takes IPv4 as well.")
    var host = "127.0.0.1"

    @Option(help: "Port to listen on; 0 picks a free one.")
    var port: UInt16 = 8080

    @Option(help: "Path of a socket in the file system to listen at, instead of address and port.")
    var unixSocket: String?

    @Option(help: "Threads that serve connections.")
    var threads = 2

    @Option(
        help:
            "Threads that may work on one reply: beside its own those that make blocks ahead, which all replies share."
    )
    var threadsPerRequest = 1

    @Option(help: "Connections open at the same time.")
    var maxConnections = 1024

    @Option(help: "Connections open at the same time from one address; 0 is no limit.")
    var maxConnectionsPerAddress = 0

    @Option(help: "Seconds without traffic after which a connection is closed, be it idle or its reader stalled.")
    var idleTimeout = 30

    @Option(help: "Seconds in which a request must have arrived.")
    var receiveTimeout = 30

    @Option(help: "Bytes for the head of a request, its buffers included.")
    var maxHeadBytes = 32 << 10

    @Option(help: "Bytes of a request's body.")
    var maxBodyBytes = 1 << 20

    @Option(help: "Arrays and objects inside one another in a request's JSON.")
    var maxJsonDepth = 64

    @Option(help: "Values in a request's JSON.")
    var maxJsonValues = 1 << 17

    @Option(help: "Bytes made and sent at a time, of a short body a sixteenth; each reply under way holds as many.")
    var blockBytes = 1 << 20

    @Option(help: "Bytes of what all replies under way hold; the less is left, the fewer a new one makes at a time.")
    var maxBodyMemory = 256 << 20

    @Option(help: "Bytes of small replies that are kept for requests with the same head; 0 keeps none.")
    var replyCacheBytes = 8 << 20

    @Option(help: "Threads for work that must be done before a reply's first byte (orthogonal, sparse, summary).")
    var workThreads = 1

    @Option(help: "Pieces of such work that may wait; more are refused with 503.")
    var workQueue = 64

    @Option(help: "Seconds that such work may wait.")
    var workTimeout = 30

    @Option(help: "Bytes of memory for such work, all of it together.")
    var maxWorkBytes = 2 << 30

    @Option(help: "Bytes of what is kept of such work for requests to come; 0 keeps nothing.")
    var cacheBytes = 256 << 20

    @Option(help: "Bytes of all tensors of a request.")
    var maxTensorBytes = 1 << 42

    @Option(help: "Elements of a matrix that must be whole in memory (orthogonal, sparse).")
    var maxMatrixElements = 1 << 26

    @Option(help: "Rounds of redrawing that a truncated normal may be expected to need.")
    var maxRounds = 1024

    @Option(help: "Layers of a model, those without parameters and those inside others included.")
    var maxLayers = 10_000

    @Option(help: "Tensors of a model.")
    var maxTensors = 100_000

    @Option(help: "Bytes of the names of a model's tensors, all of them together.")
    var maxNameBytes = 4 << 20

    @Option(help: "Times that a rule is held against a parameter.")
    var maxRuleMatches = 4_000_000

    @Option(help: "Blocks of layers inside each other.")
    var maxNesting = 16

    @Option(help: "Elements of a JSON reply.")
    var maxJsonElements = 1 << 24

    @Option(help: "Elements that may be made only to count the words they draw (trunc_normal).")
    var maxCountedElements = 1 << 40

    @Option(help: "Elements that a summary may go through.")
    var maxSummaryElements = 1 << 32

    @Option(help: "Weights that the runs of /propagate may make.")
    var maxPropagatedWeights = 1 << 27
    @Option(help: "File of the bearer tokens that are accepted, one a line; without it anyone may ask.")
    var tokenFile: String?

    @Option(
        help: "File of the certificate in PEM, with those that sign it behind it: then TLS is spoken, and nothing else."
    )
    var tlsCertificate: String?

    @Option(help: "File of the certificate's key in PEM.")
    var tlsKey: String?

    @Option(
        help: "Origins whose pages may read the answers (https://example.org), separated by commas; * is all.",
        transform: crossOrigin(listing:)
    )
    var corsOrigin: CrossOrigin?

    @Option(help: "Port for /metrics and the probes, in plain HTTP and without tokens; /metrics is then there alone.")
    var metricsPort: UInt16?

    @Option(help: "Address of that port; as --host, unless given.")
    var metricsHost: String?

    @Option(help: "Seconds between /readyz turning 503 and the end of accepting.")
    var drainDelay = 0

    @Option(help: "Seconds that replies under way have to end.")
    var drainTimeout = 30

    @Option(
        help: "What is logged to standard error: trace, debug, info, notice, warning, error or critical.",
        completion: .list(Logger.Level.allCases.map(\.rawValue)),
        transform: logLevel(named:)
    )
    var logLevel = Logger.Level.notice

    @Option(help: "How a line of the log is written; at the level info each request has one.")
    var logFormat = LogFormat.text

    mutating func validate() throws {
        let atLeastOne = [
            ("--max-work-bytes", maxWorkBytes), ("--max-tensor-bytes", maxTensorBytes),
            ("--max-matrix-elements", maxMatrixElements), ("--max-rounds", maxRounds),
            ("--max-json-elements", maxJsonElements), ("--max-summary-elements", maxSummaryElements),
            ("--max-counted-elements", maxCountedElements), ("--max-propagated-weights", maxPropagatedWeights),
            ("--max-layers", maxLayers), ("--max-tensors", maxTensors), ("--max-name-bytes", maxNameBytes),
            ("--max-rule-matches", maxRuleMatches), ("--max-nesting", maxNesting),
            ("--max-json-depth", maxJsonDepth), ("--max-json-values", maxJsonValues),
        ]
        for (name, value) in atLeastOne where value < 1 {
            throw ValidationError("\(name) must be at least 1.")
        }
        // What is inside one another is also read so, on the stack.
        guard maxJsonDepth <= 1024 else { throw ValidationError("--max-json-depth must be at most 1024.") }
        // LAPACK counts in 32 bits; words are counted in 62.
        guard maxMatrixElements <= Int32.max else {
            throw ValidationError("--max-matrix-elements must be at most \(Int32.max).")
        }
        guard maxRounds <= 1 << 40 else { throw ValidationError("--max-rounds must be at most \(1 << 40).") }
        guard replyCacheBytes >= 0 else { throw ValidationError("--reply-cache-bytes must be at least 0.") }
        guard cacheBytes >= 0 else { throw ValidationError("--cache-bytes must be at least 0.") }
        let seconds = [
            ("--idle-timeout", idleTimeout), ("--receive-timeout", receiveTimeout), ("--work-timeout", workTimeout),
            ("--drain-delay", drainDelay), ("--drain-timeout", drainTimeout),
        ]
        for (name, value) in seconds where !(0...86400).contains(value) {
            throw ValidationError("\(name) must be from 0 to 86400 seconds.")
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key belong together.")
        }
        guard metricsHost == nil || metricsPort != nil else {
            throw ValidationError("--metrics-host means nothing without --metrics-port.")
        }
    }

    func run() throws {
        var logger = Logger(label: "weight-init") { _ in LineLogHandler(logFormat) }
        logger.logLevel = logLevel

        if let shortage = OpenFiles.makeRoom(forConnections: maxConnections) { logger.warning("\(shortage)") }
        // Before the first thread starts: they inherit what is blocked, so that signals wait for this one.
        let signals = TerminationSignals(reloads: tokenFile != nil || tlsCertificate != nil)
        var policy = ServicePolicy()
        policy.tokens = try tokenFile.map { try AccessTokens(file: $0) }
        policy.crossOrigin = corsOrigin
        policy.metricsAreApart = metricsPort != nil
        let service = InitService(limits: limits, policy: policy, logger: logger)
        var configuration = configuration(logger)
        configuration.identity = try identity()
        // First, so that nobody is served before it is known that all can be had.
        let metricsDaemon = try metricsPort.map { port in
            try HTTPDaemon(configuration: metricsConfiguration(port, logger), handler: MetricsService(of: service))
        }
        let daemon = try HTTPDaemon(configuration: configuration, handler: service)
        service.observe { [weak daemon] in daemon?.load ?? TransportLoad() }
        let scheme = configuration.identity == nil ? "http" : "https"
        print(
            "weight-init serves at \(unixSocket.map { "unix:\($0)" } ?? "\(scheme)://\(authority(host, daemon.port))")"
        )
        if let metricsDaemon {
            print("weight-init gives metrics at http://\(authority(metricsHost ?? host, metricsDaemon.port))/metrics")
        }
        fflush(nil)

        let signal = signals.wait {
            if let tokenFile, let tokens = policy.tokens {
                do {
                    try tokens.reload(file: tokenFile)
                    logger.notice("read the tokens again: \(tokens.count)")
                } catch {
                    logger.error("the tokens stay as they were: \(error)")
                }
            }
            do {
                guard let identity = try identity() else { return }
                try daemon.renew(identity)
                logger.notice("read the certificate again")
            } catch {
                logger.error("the certificate stays as it was: \(error)")
            }
        }
        logger.notice("signal \(signal): draining")
        service.beginDraining()
        sleep(UInt32(drainDelay))
        daemon.quiesce()
        if !daemon.drain(for: .seconds(drainTimeout)) {
            logger.warning("\(daemon.activeExchanges) replies under way are cut off")
        }
        daemon.stop()
        metricsDaemon?.stop()
        logger.notice("stopped")
    }

    private func authority(_ host: String, _ port: UInt16) -> String {
        "\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }

    private func identity() throws -> TLSIdentity? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return try TLSIdentity(
            certificate: String(decoding: contents(of: tlsCertificate, for: "--tls-certificate"), as: UTF8.self),
            key: String(decoding: contents(of: tlsKey, for: "--tls-key"), as: UTF8.self)
        )
    }

    /// For a scraper or two, and probes.
    private func metricsConfiguration(_ port: UInt16, _ logger: Logger) -> DaemonConfiguration {
        var configuration = DaemonConfiguration()
        configuration.host = metricsHost ?? host
        configuration.port = port
        configuration.connectionLimit = 64
        configuration.bodyLimit = 0
        configuration.log = { logger.log(level: $1 ? .error : .debug, "\($0)") }
        return configuration
    }

    private var limits: ServiceLimits {
        var limits = ServiceLimits()
        limits.maximumBodyBytes = maxBodyBytes
        limits.maximumJSONDepth = maxJsonDepth
        limits.maximumJSONValues = maxJsonValues
        limits.maximumJSONElements = maxJsonElements
        limits.maximumSummaryElements = maxSummaryElements
        limits.maximumCountedElements = maxCountedElements
        limits.maximumPropagatedWeights = maxPropagatedWeights
        limits.maximumWorkBytes = maxWorkBytes
        limits.cacheBytes = cacheBytes
        limits.maximumLocationBytes = maxHeadBytes / 2
        limits.tensors.maximumTensorBytes = maxTensorBytes
        limits.tensors.maximumMatrixElements = maxMatrixElements
        limits.tensors.maximumRounds = maxRounds
        limits.tensors.maximumLayers = maxLayers
        limits.tensors.maximumTensors = maxTensors
        limits.tensors.maximumNameBytes = maxNameBytes
        limits.tensors.maximumRuleMatches = maxRuleMatches
        limits.tensors.maximumNesting = maxNesting
        return limits
    }

    private func configuration(_ logger: Logger) -> DaemonConfiguration {
        var configuration = DaemonConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.socketPath = unixSocket
        configuration.threadCount = threads
        configuration.connectionLimit = maxConnections
        configuration.connectionsPerAddress = maxConnectionsPerAddress == 0 ? nil : maxConnectionsPerAddress
        configuration.idleTimeout = .seconds(idleTimeout)
        configuration.receiveTimeout = .seconds(receiveTimeout)
        configuration.connectionMemory = maxHeadBytes
        configuration.bodyLimit = maxBodyBytes
        configuration.blockSize = blockBytes
        configuration.bodyMemory = maxBodyMemory
        configuration.replyCacheSize = replyCacheBytes
        configuration.threadsPerBody = threadsPerRequest
        configuration.deferred.threadCount = workThreads
        configuration.deferred.queueLimit = workQueue
        configuration.deferred.waitLimit = .seconds(workTimeout)
        configuration.deferred.memoryLimit = maxWorkBytes
        configuration.log = { logger.log(level: $1 ? .error : .debug, "\($0)") }
        return configuration
    }
}

private func logLevel(named name: String) throws -> Logger.Level {
    guard let level = Logger.Level(rawValue: name) else {
        throw ValidationError("it is one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return level
}

private func crossOrigin(listing list: String) throws -> CrossOrigin {
    guard let crossOrigin = CrossOrigin(list: list) else {
        throw ValidationError("it is * or origins like https://example.org, separated by commas.")
    }
    return crossOrigin
}
