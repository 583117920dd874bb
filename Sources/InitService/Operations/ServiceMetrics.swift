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

// MARK: Families

extension ServiceMetrics {
    private static let requestDuration = MetricFamily(
        name: "http_server_request_duration_seconds",
        kind: .histogram,
        labels: ["route", "status"],
        help: "From the arrival of a request's first line to the end of sending its response."
    )
    private static let activeRequests = MetricFamily(
        name: "http_server_active_requests",
        kind: .gauge,
        help: "Requests without a complete response."
    )
    private static let openConnections = MetricFamily(
        name: "http_server_open_connections",
        kind: .gauge,
        help: "Open connections, idle ones included."
    )
    private static let connectionLimit = MetricFamily(
        name: "http_server_connection_limit",
        kind: .gauge,
        help: "Maximum number of open connections. Further ones wait until others close."
    )
    private static let responseBodyBytes = MetricFamily(
        name: "http_server_response_body_bytes_total",
        kind: .counter,
        help: "Bytes of response bodies handed to connections."
    )
    private static let repeatedRequests = MetricFamily(
        name: "http_server_repeated_requests_total",
        kind: .counter,
        help: "Requests answered with a cached reply."
    )
    private static let replyCacheBytes = MetricFamily(
        name: "http_server_reply_cache_bytes",
        kind: .gauge,
        help: "Memory held by cached replies."
    )
    private static let responseMemory = MetricFamily(
        name: "http_server_response_memory_bytes",
        kind: .gauge,
        help: "Memory held by responses being sent."
    )
    private static let requestMemory = MetricFamily(
        name: "http_server_request_memory_bytes",
        kind: .gauge,
        help: "Memory held by request bodies until their requests are answered."
    )
    private static let cutOffRequests = MetricFamily(
        name: "weight_init_cut_off_requests_total",
        kind: .counter,
        help: "Requests whose connection ended before their response did."
    )
    private static let rejectedRequests = MetricFamily(
        name: "weight_init_rejected_requests_total",
        kind: .counter,
        labels: ["reason"],
        help: "Requests answered with a problem document, by its type or the option of the exhausted resource."
    )
    private static let madeBytesFamily = MetricFamily(
        name: "weight_init_made_bytes_total",
        kind: .counter,
        labels: ["method", "dtype"],
        help: "Bytes of tensor elements made, before any format."
    )
    private static let madeElements = MetricFamily(
        name: "weight_init_made_elements_total",
        kind: .counter,
        labels: ["method", "dtype"],
        help: "Tensor elements made."
    )
    private static let workQueueDepth = MetricFamily(
        name: "weight_init_work_queue_depth",
        kind: .gauge,
        help: "Jobs of work before a first byte that wait in the queue."
    )
    private static let workRunning = MetricFamily(
        name: "weight_init_work_running",
        kind: .gauge,
        help: "Jobs of work before a first byte that are running."
    )
    private static let workMemory = MetricFamily(
        name: "weight_init_work_memory_bytes",
        kind: .gauge,
        help: "Memory held by jobs of work before a first byte and by their responses."
    )
    private static let cacheBytes = MetricFamily(
        name: "weight_init_cache_bytes",
        kind: .gauge,
        help: "Memory held by cached results of work before a first byte."
    )
    private static let preparations = MetricFamily(
        name: "weight_init_preparations_total",
        kind: .counter,
        help: "Jobs of work before a first byte started because no result was cached."
    )
    private static let modelCacheBytes = MetricFamily(
        name: "weight_init_model_cache_bytes",
        kind: .gauge,
        help: "Memory held by decoded and planned models of the catalogue."
    )
    private static let modelPlans = MetricFamily(
        name: "weight_init_model_plans_total",
        kind: .counter,
        help: "Models of the catalogue decoded, planned or split into files because none was cached."
    )
    private static let draining = MetricFamily(
        name: "weight_init_draining",
        kind: .gauge,
        help: "1 while the service drains, else 0."
    )
    private static let buildInfo = MetricFamily(
        name: "weight_init_build_info",
        kind: .gauge,
        labels: ["version", "profile"],
        help: "Always 1; the labels name the release and the PyTorch profile of its bits."
    )
}

// MARK: Writing

extension ServiceMetrics {
    /// All metrics in the text format.
    func exposition(of service: InitService) -> Exposition {
        var exposition = Exposition()
        addDurations(to: &exposition)
        let load = load.withLock { $0 }?() ?? TransportLoad()
        exposition.add(Self.activeRequests, load.activeExchanges)
        exposition.add(Self.openConnections, load.openConnections)
        exposition.add(Self.connectionLimit, load.connectionLimit)
        exposition.add(Self.responseBodyBytes, responseBytes.value)
        exposition.add(Self.repeatedRequests, load.repeatedRequests)
        exposition.add(Self.replyCacheBytes, load.replyCacheBytes)
        exposition.add(Self.responseMemory, load.bodyMemory)
        exposition.add(Self.requestMemory, load.uploadMemory)
        exposition.add(Self.cutOffRequests, cutOff.value)
        exposition.begin(Self.rejectedRequests)
        for reason in Self.reasons {
            exposition.sample(Self.rejectedRequests.name, [("reason", reason)], String(rejected[reason]?.value ?? 0))
        }
        let production = service.operations.production
        addMade(Self.madeBytesFamily, production, to: &exposition) { bytes, _ in bytes }
        addMade(Self.madeElements, production, to: &exposition) { bytes, dtype in bytes / dtype.itemSize }
        exposition.add(Self.workQueueDepth, load.waitingWork)
        exposition.add(Self.workRunning, load.runningWork)
        exposition.add(Self.workMemory, load.workMemory)
        exposition.add(Self.cacheBytes, service.operations.preparations.byteCount)
        exposition.add(Self.preparations, service.operations.preparations.madeCount)
        exposition.add(Self.modelCacheBytes, service.operations.modelCache.byteCount)
        exposition.add(Self.modelPlans, service.operations.modelCache.madeCount)
        exposition.add(Self.draining, service.isDraining ? 1 : 0)
        exposition.begin(Self.buildInfo)
        exposition.sample(
            Self.buildInfo.name,
            [("version", Release.version), ("profile", Release.profile.description)],
            "1"
        )
        return exposition
    }

    /// Adds only histograms with a count: most routes never give most statuses.
    private func addDurations(to exposition: inout Exposition) {
        let name = Self.requestDuration.name
        exposition.begin(Self.requestDuration)
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
        _ family: MetricFamily,
        _ production: Production,
        to exposition: inout Exposition,
        _ value: (_ bytes: Int, DType) -> Int
    ) {
        exposition.begin(family)
        for method in InitMethod.all {
            for dtype in DType.allCases {
                let bytes = production.byteCount(of: method, dtype)
                guard bytes > 0 else { continue }
                exposition.sample(
                    family.name,
                    [("method", method.name.description), ("dtype", dtype.rawValue)],
                    String(value(bytes, dtype))
                )
            }
        }
    }
}
