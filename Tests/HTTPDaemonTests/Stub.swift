import ByteSource
import Foundation
import HTTPDaemon
import HTTPExchange
import HTTPTypes
import Synchronization
import TestSupport

/// A handler that answers by path and records the requests.
final class Stub: RequestHandler {
    typealias Respond = @Sendable (IncomingRequest) -> Reply

    private let routes: [String: Respond]
    private let log = Mutex<[IncomingRequest]>([])

    init(_ routes: [String: Respond] = [:]) {
        self.routes = routes
    }

    var requests: [IncomingRequest] { log.withLock { $0 } }

    func respond(to request: IncomingRequest) -> Reply {
        log.withLock { $0.append(request) }
        let path = request.head.target.prefix { $0 != "?" }
        return routes[String(path)]?(request) ?? .ready(.text(request.head.target))
    }

    func refuse(_ refusal: Refusal, head: RequestHead) -> OutgoingResponse {
        let (status, words): (HTTPResponse.Status, String) =
            switch refusal {
            case .malformed(let reason): (.badRequest, reason)
            case .bodyTooLarge(let limit): (.contentTooLarge, "limit \(limit)")
            case .workTooLarge(let need, let limit): (.contentTooLarge, "\(need) of \(limit)")
            case .expectationFailed(let what): (.expectationFailed, what)
            case .timedOut: (.requestTimeout, "late")
            case .tooManyFields: (.requestHeaderFieldsTooLarge, "too many fields")
            case .saturated(let saturation, _): (.serviceUnavailable, "\(saturation)")
            }
        return .text(words, status: status)
    }
}

extension OutgoingResponse {
    static func text(_ text: String, status: HTTPResponse.Status = .ok) -> OutgoingResponse {
        OutgoingResponse(
            head: ResponseHead(status: status, fields: [.contentType: "text/plain"]),
            body: .bytes(Array(text.utf8))
        )
    }

    static func ok(_ body: ResponseBody) -> OutgoingResponse {
        OutgoingResponse(head: ResponseHead(status: .ok), body: body)
    }
}

extension Reply {
    /// A reply whose body is a ``Pattern`` of this length.
    static func pattern(_ byteCount: Int, _ traces: Traces? = nil) -> Reply {
        .ready(.ok(.source(Pattern(byteCount: byteCount, traces: traces), range: 0..<byteCount)))
    }
}

/// The reads and the end of a body.
final class Traces: Sendable {
    private struct State {
        var made = 0
        var gone = 0
        var reads = 0
        var largestRead = 0
        var furthest = 0
    }

    private let state = Mutex(State())

    var made: Int { state.withLock { $0.made } }
    var gone: Int { state.withLock { $0.gone } }
    var reads: Int { state.withLock { $0.reads } }
    var largestRead: Int { state.withLock { $0.largestRead } }
    var furthest: Int { state.withLock { $0.furthest } }

    func wasMade() { state.withLock { $0.made += 1 } }
    func isGone() { state.withLock { $0.gone += 1 } }
    func wasRead(_ count: Int, upTo end: Int) {
        state.withLock {
            $0.reads += 1
            $0.largestRead = max($0.largestRead, count)
            $0.furthest = max($0.furthest, end)
        }
    }
}

/// A body whose byte `i` is `i % 251`, so that a misplaced byte is noticed.
final class Pattern: ByteSource, ByteStream {
    let byteCount: Int
    private let piece: Int
    private let pauses: Bool
    private let traces: Traces?
    private var position = 0
    private var isReady: Bool

    /// - Parameters:
    ///   - piece: The most bytes that a read gives.
    ///   - pauses: Makes every other read give no bytes.
    init(byteCount: Int, piece: Int = .max, pauses: Bool = false, traces: Traces? = nil) {
        self.byteCount = byteCount
        self.piece = piece
        self.pauses = pauses
        isReady = pauses
        self.traces = traces
        traces?.wasMade()
    }

    deinit {
        traces?.isGone()
    }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        if pauses {
            isReady.toggle()
            guard isReady else { return 0 }
        }
        let count = min(byteCount - position, destination.byteCount, piece)
        for index in 0..<count {
            destination.storeBytes(of: UInt8((position + index) % 251), toByteOffset: index, as: UInt8.self)
        }
        traces?.wasRead(destination.byteCount, upTo: position + count)
        return count
    }

    func read(into destination: inout MutableRawSpan) -> Int? {
        guard position < byteCount else { return nil }
        let count = read(at: position, into: &destination)
        position += count
        return count
    }

    static func bytes(_ range: Range<Int>) -> [UInt8] {
        range.map { UInt8($0 % 251) }
    }
}

/// A gate at which work waits until the test opens it.
final class Gate: Sendable {
    private let open = Atomic(false)
    private let arrivals = Atomic(0)

    var arrived: Int { arrivals.load(ordering: .relaxed) }

    /// Counts an arrival without waiting.
    func arrive() { arrivals.add(1, ordering: .relaxed) }

    func pass() {
        arrive()
        while !open.load(ordering: .relaxed) { usleep(1000) }
    }

    func release() { open.store(true, ordering: .relaxed) }
}

/// Runs a daemon on a free port of 127.0.0.1 and stops it afterwards.
func withDaemon<Result>(
    _ handler: any RequestHandler,
    _ change: (inout DaemonConfiguration) -> Void = { _ in },
    _ body: (HTTPDaemon) throws -> Result
) throws -> Result {
    var configuration = DaemonConfiguration()
    configuration.port = 0
    change(&configuration)
    let daemon = try HTTPDaemon(configuration: configuration, handler: handler)
    defer { daemon.stop() }
    return try body(daemon)
}

/// Serves one client on a daemon of its own.
///
/// - Returns: The requests that the stub received.
@discardableResult
func withClient(
    of stub: Stub = Stub(),
    _ change: (inout DaemonConfiguration) -> Void = { _ in },
    _ body: (RawClient, HTTPDaemon) throws -> Void
) throws -> [IncomingRequest] {
    try withDaemon(stub, change) { daemon in try body(RawClient(port: daemon.port), daemon) }
    return stub.requests
}
