internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI
import Synchronization
import WeightInit

/// Metrics of the service.
///
/// All possible counters are made at the start, so that counting takes no lock and no memory.
final class ServiceMetrics: Sendable {
    /// Label of unknown paths, so that clients cannot create labels.
    static let otherRoute = "other"
    private static let noStatus = "none"

    private static let routes = (Route.all.map(\.path.text.description) + [otherRoute]).sorted()
    private static let statuses = Set(Problem.Kind.allCases.map(\.status.code)).union(furtherStatuses).sorted()

    /// Histograms by route and status, in the order of the lists above. The lists are so short that a linear search is
    /// quicker than hashing.
    private let durations = routes.map { _ in statuses.map { _ in DurationHistogram() } }
    private let responseBytes = Counter()
    private let cutOff = Counter()
    private let rejected: [String: Counter]
    private let load = Mutex<(@Sendable () -> TransportLoad)?>(nil)

    init() {
        rejected = Dictionary(uniqueKeysWithValues: Self.reasons.map { ($0, Counter()) })
    }

    /// Statuses besides those of problems: of success, of the transport's own answers, and 0 for an exchange without an
    /// answer.
    private static let furtherStatuses = [0, 200, 204, 206, 304, 308, 414, 431, 501, 505]

    /// Reasons for refusing requests: the kinds of problems, and the resources that can be exhausted.
    private static let reasons: [String] = {
        let kinds = Problem.Kind.allCases.map(\.slug)
        return kinds + Saturation.allCases.map(\.reason).filter { !kinds.contains($0) }
    }()

    /// Sets the function that returns the transport's load.
    func observe(_ load: @escaping @Sendable () -> TransportLoad) {
        self.load.withLock { $0 = load }
    }

    func count(_ exchange: ExchangeEnd) {
        durations(of: exchange.note?.route, exchange.status)?.record(nanoseconds: exchange.nanoseconds)
        if exchange.bodyByteCount > 0 { responseBytes.add(exchange.bodyByteCount) }
        if !exchange.isWhole { cutOff.add() }
        if let problem = exchange.note?.problem { rejected[problem]?.add() }
    }

    private func durations(of route: String?, _ status: Int?) -> DurationHistogram? {
        guard let place = route.flatMap(Self.routes.firstIndex) ?? Self.routes.firstIndex(of: Self.otherRoute),
            let column = status.flatMap(Self.statuses.firstIndex) ?? Self.statuses.firstIndex(of: 0)
        else { return nil }
        return durations[place][column]
    }
}

// MARK: Writing

extension ServiceMetrics {
    /// All metrics in the text format.
    func exposition(of service: InitService) -> Exposition {
        var exposition = Exposition()
        addDurations(to: &exposition)
        let load = load.withLock { $0 }?() ?? TransportLoad()
        exposition.gauge(
            "http_server_active_requests",
            "Requests without a complete response.",
            load.activeExchanges
        )
        exposition.gauge("http_server_open_connections", "Open connections, idle ones included.", load.openConnections)
        exposition.gauge(
            "http_server_connection_limit",
            "Maximum number of open connections. Further ones wait until others close.",
            load.connectionLimit
        )
        exposition.counter(
            "http_server_response_body_bytes_total",
            "Bytes of response bodies handed to connections.",
            responseBytes.value
        )
        exposition.counter(
            "http_server_repeated_requests_total",
            "Requests answered with a cached reply.",
            load.repeatedRequests
        )
        exposition.gauge("http_server_reply_cache_bytes", "Memory held by cached replies.", load.replyCacheBytes)
        exposition.gauge("http_server_response_memory_bytes", "Memory held by responses being sent.", load.bodyMemory)
        exposition.gauge(
            "http_server_request_memory_bytes",
            "Memory held by request bodies until their requests are answered.",
            load.uploadMemory
        )
        exposition.counter(
            "weight_init_cut_off_requests_total",
            "Requests whose connection ended before their response did.",
            cutOff.value
        )
        let rejections = exposition.begin(
            .counter,
            "weight_init_rejected_requests_total",
            "Requests answered with a problem document, by its type or the option of the exhausted resource."
        )
        for reason in Self.reasons {
            exposition.sample(rejections, [("reason", reason)], String(rejected[reason]?.value ?? 0))
        }
        let production = service.operations.production
        let madeBytes = exposition.begin(
            .counter,
            "weight_init_made_bytes_total",
            "Bytes of tensor elements made, before any format."
        )
        addMade(madeBytes, production, to: &exposition) { bytes, _ in bytes }
        let madeElements = exposition.begin(.counter, "weight_init_made_elements_total", "Tensor elements made.")
        addMade(madeElements, production, to: &exposition) { bytes, dtype in bytes / dtype.itemSize }
        exposition.gauge(
            "weight_init_work_queue_depth",
            "Jobs of work before a first byte that wait in the queue.",
            load.waitingWork
        )
        exposition.gauge(
            "weight_init_work_running",
            "Jobs of work before a first byte that are running.",
            load.runningWork
        )
        exposition.gauge(
            "weight_init_work_memory_bytes",
            "Memory held by jobs of work before a first byte and by their responses.",
            load.workMemory
        )
        exposition.gauge(
            "weight_init_cache_bytes",
            "Memory held by cached results of work before a first byte.",
            service.operations.preparations.byteCount
        )
        exposition.counter(
            "weight_init_preparations_total",
            "Jobs of work before a first byte started because no result was cached.",
            service.operations.preparations.madeCount
        )
        exposition.gauge(
            "weight_init_model_cache_bytes",
            "Memory held by decoded and planned models of the catalogue.",
            service.operations.modelCache.byteCount
        )
        exposition.counter(
            "weight_init_model_plans_total",
            "Models of the catalogue decoded, planned or split into files because none was cached.",
            service.operations.modelCache.madeCount
        )
        exposition.gauge("weight_init_draining", "1 while the service drains, else 0.", service.isDraining ? 1 : 0)
        let build = exposition.begin(
            .gauge,
            "weight_init_build_info",
            "Always 1; the labels name the release and the PyTorch profile of its bits."
        )
        exposition.sample(build, [("version", Release.version), ("profile", Release.profile.description)], "1")
        return exposition
    }

    /// Adds only histograms with a count: most routes never give most statuses.
    private func addDurations(to exposition: inout Exposition) {
        let name = exposition.begin(
            .histogram,
            "http_server_request_duration_seconds",
            "From the arrival of a request's first line to the end of sending its response."
        )
        for (route, histograms) in zip(Self.routes, durations) {
            for (status, histogram) in zip(Self.statuses, histograms) {
                let (counts, sum) = histogram.cumulative
                guard let count = counts.last, count > 0 else { continue }
                let labels = [("route", route), ("status", status == 0 ? Self.noStatus : String(status))]
                for (bound, count) in zip(DurationHistogram.bounds + ["+Inf"], counts) {
                    exposition.sample(name + "_bucket", labels + [("le", bound)], String(count))
                }
                exposition.sample(name + "_sum", labels, String(sum))
                exposition.sample(name + "_count", labels, String(count))
            }
        }
    }

    private func addMade(
        _ name: String,
        _ production: Production,
        to exposition: inout Exposition,
        _ value: (_ bytes: Int, DType) -> Int
    ) {
        for method in InitMethod.all {
            for dtype in DType.allCases {
                let bytes = production.byteCount(of: method, dtype)
                guard bytes > 0 else { continue }
                exposition.sample(
                    name,
                    [("method", method.name.description), ("dtype", dtype.rawValue)],
                    String(value(bytes, dtype))
                )
            }
        }
    }
}
