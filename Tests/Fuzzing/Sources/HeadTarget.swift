import ByteSource
import Glibc
@testable import HTTPDaemon
import HTTPExchange
import HTTPTypes
import Synchronization

/// Bytes of a client on a connection to a daemon with the real library. The first byte sets the number of pieces in
/// which the others are sent. Each request has one final response, and nothing else is sent. The cost of a connection
/// is bounded by its bytes.
///
/// One daemon serves all inputs, and it runs on the fuzzer's thread: a switch of threads for each event takes ten times as
/// long as the work.
enum HeadTarget {
    private static let handler = Handler()
    private static let daemon: HTTPDaemon = {
        var configuration = DaemonConfiguration()
        configuration.port = 0
        configuration.bodyLimit = 1 << 10
        configuration.drainLimit = 2 << 10
        configuration.uploadMemory = 4 << 10
        configuration.replyCacheSize = 1 << 20
        do {
            return try HTTPDaemon(configuration: configuration, handler: handler, hasThreads: false)
        } catch {
            fatalError("\(error)")
        }
    }()
    // libFuzzer calls from one thread.
    nonisolated(unsafe) private static var turn = 0
    nonisolated(unsafe) private static var answer: [UInt8] = []
    nonisolated(unsafe) private static var buffer = [UInt8](repeating: 0, count: 64 << 10)

    /// Bounds on comparisons and on bytes held at once, both in the service's own code: for a connection, and for each
    /// byte received or sent. They are several times the highest cost seen.
    private static let steps = (fixed: 5_000 as UInt64, perByte: 30 as UInt64)
    private static let memory = (fixed: 200_000 as Int64, perByte: 4 as Int64)

    static func run(_ bytes: [UInt8]) {
        let pieces = Int(bytes.first ?? 0) % 4 + 1
        handler.forget()
        answer.removeAll(keepingCapacity: true)
        let (_, cost) = Cost.measure { exchange(bytes.dropFirst(), pieces: pieces) }
        cost?.require(bytes: bytes.count + answer.count, steps: steps, memory: memory)
        let ends = handler.ends
        var rest = answer[...]
        for (index, end) in ends.enumerated() {
            let isLast = index == ends.count - 1
            guard let status = end.status else {
                check(isLast, "only the end of a connection leaves a request without a response")
                // A 100 (Continue) may have been sent.
                check(ResponseReader.read(&rest, isHead: false) == nil, "a request that is cut off has no response")
                break
            }
            guard let response = ResponseReader.read(&rest, isHead: end.method == .head) else {
                // The library's own answer, or one that was cut off when the client closed.
                check(isLast, "every request that another follows has its response whole")
                return
            }
            check(response == status, "the response \(status) is the one that was sent, not \(response)")
        }
        check(
            rest.isEmpty || isOwnPage(rest),
            "nothing follows the last response: \(String(decoding: rest, as: UTF8.self))"
        )
        turn += 1
        if turn.isMultiple(of: 16) {
            answer.removeAll(keepingCapacity: true)
            exchange(Array("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n".utf8)[...], pieces: 1)
            check(answer.starts(with: Array("HTTP/1.1 200 ".utf8)), "others are served afterwards")
        }
    }

    /// Checks for an error page that the library sent by itself, without calling the handler, before it closed the
    /// connection.
    private static func isOwnPage(_ bytes: ArraySlice<UInt8>) -> Bool {
        // The page has no body if the request may have been HEAD.
        [false, true].contains { isHead in
            var rest = bytes
            let status = ResponseReader.read(&rest, isHead: isHead)
            return [400, 413, 414, 431, 500, 501, 505].contains(status) && rest.isEmpty
        }
    }

    /// Appends to `answer` everything that the daemon sends to a client that sends all bytes and then closes its
    /// sending half.
    private static func exchange(_ bytes: ArraySlice<UInt8>, pieces: Int) {
        var ends: [CInt] = [0, 0]
        check(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0, "there are sockets")
        defer { close(ends[0]) }
        check(daemon.adopt(ends[1]), "a connection is taken")
        let size = max(1, (bytes.count + pieces - 1) / pieces)
        let peek = CInt(MSG_DONTWAIT) | CInt(MSG_PEEK)
        var byte: UInt8 = 0
        for start in stride(from: bytes.startIndex, to: bytes.endIndex, by: size) {
            let piece = bytes[start..<min(start + size, bytes.endIndex)]
            let count = piece.withUnsafeBytes { send(ends[0], $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            guard count == piece.count else { break }
            // Waits until the daemon has read the piece. If the end arrived together with bytes, the library would
            // notice it only at the idle timeout.
            attempts { recv(ends[1], &byte, 1, peek) != 1 || !take(from: ends[0]) }
        }
        shutdown(ends[0], CInt(SHUT_WR))
        // The client sees the end of the stream shortly before the daemon has finished the exchange.
        attempts { !take(from: ends[0]) && daemon.activeExchanges == 0 }
    }

    /// Runs the daemon until the condition holds. Each call of the daemon waits for an event, so that few calls are
    /// needed: a stuck connection is a fault.
    private static func attempts(_ isOver: () -> Bool) {
        for attempt in 0..<15_000 {
            daemon.run(waiting: attempt < 16 ? 0 : 1)
            if isOver() { return }
        }
        check(false, "the connection of a client that has said all ends")
    }

    /// Receives the bytes sent so far; `false` at the end of the stream.
    private static func take(from descriptor: CInt) -> Bool {
        while true {
            let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
            guard count > 0 else { return count < 0 && errno == EAGAIN }
            answer += buffer[..<count]
        }
    }
}

/// Answers of every kind, by the first letter of the path.
private final class Handler: RequestHandler {
    private let log = Mutex<[ExchangeEnd]>([])
    private let naming = ResponseNaming(field: HTTPField.Name("X-Request-Id") ?? .server) { "again" }

    var ends: [ExchangeEnd] { log.withLock { $0 } }

    func forget() { log.withLock { $0.removeAll() } }

    func respond(to request: IncomingRequest) -> Reply {
        let path = Array(request.head.target.utf8.prefix(2))
        switch path.last {
        case UInt8(ascii: "s"): return .ready(response(.stream(Zeros(left: 3000))))
        case UInt8(ascii: "b"): return .ready(response(.bytes([UInt8](repeating: 65, count: 70_000))))
        case UInt8(ascii: "f"): return .ready(response(.source(Zeros(left: 70_000), range: 1..<70_000)))
        case UInt8(ascii: "d"): return .deferred(DeferredWork(memory: 1, cost: .zero) { _ in self.response(.empty) })
        case UInt8(ascii: "n"): return .ready(response(.empty, status: .noContent))
        case UInt8(ascii: "k"):
            var kept = response(.bytes(Array("kept".utf8)))
            kept.naming = naming
            return .ready(kept)
        default: return .ready(response(.bytes(request.body + [10])))
        }
    }

    func refuse(_ refusal: Refusal, head: RequestHead) -> OutgoingResponse {
        let status: HTTPResponse.Status =
            switch refusal {
            case .malformed: .badRequest
            case .bodyTooLarge, .workTooLarge: .contentTooLarge
            case .expectationFailed: .expectationFailed
            case .timedOut: .requestTimeout
            case .tooManyFields: .requestHeaderFieldsTooLarge
            case .saturated: .serviceUnavailable
            }
        return response(.bytes(Array("refused".utf8)), status: status)
    }

    func ended(_ exchange: ExchangeEnd) {
        log.withLock { $0.append(exchange) }
    }

    private func response(_ body: ResponseBody, status: HTTPResponse.Status = .ok) -> OutgoingResponse {
        var response = OutgoingResponse(
            head: ResponseHead(status: status, fields: [naming.field: "first"]),
            body: body
        )
        response.note = ResponseNote(route: "/", id: "first")
        return response
    }
}

private final class Zeros: ByteSource, ByteStream {
    let byteCount: Int
    private var left: Int

    init(left: Int) { (byteCount, self.left) = (left, left) }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        min(destination.byteCount, byteCount - position)
    }

    func read(into destination: inout MutableRawSpan) -> Int? {
        guard left > 0 else { return nil }
        // Nothing is written without room for a whole number, as in a stream of numbers.
        guard destination.byteCount >= 32 else { return 0 }
        let count = min(left, destination.byteCount)
        left -= count
        for index in 0..<count { destination.storeBytes(of: 48, toByteOffset: index, as: UInt8.self) }
        return count
    }
}

/// A strict parser of responses: bytes that it cannot read are not a response.
private enum ResponseReader {
    /// Removes the next final response and returns its status; `nil` if there is none, or if it is incomplete.
    static func read(_ bytes: inout ArraySlice<UInt8>, isHead: Bool) -> Int? {
        while let head = line(&bytes) {
            let status = head.dropFirst(9).prefix(3).reduce(0) { $0 * 10 + Int($1) - 48 }
            check(head.starts(with: Array("HTTP/1.1 ".utf8)) && status >= 100, "a response begins with a status line")
            var length: Int?
            var isChunked = false
            while let field = line(&bytes), !field.isEmpty {
                let parts = String(decoding: field, as: UTF8.self).split(separator: ":", maxSplits: 1).map(String.init)
                check(parts.count == 2, "a field has a name and a value")
                switch parts[0] {
                case "Content-Length": length = Int(parts[1].dropFirst())
                case "Transfer-Encoding": isChunked = parts[1] == " chunked"
                default: break
                }
            }
            if status < 200 { continue }
            if isHead || status == 204 || status == 304 { return status }
            if let length { return take(length, &bytes) ? status : nil }
            if isChunked { return takeChunks(&bytes) ? status : nil }
            bytes = []
            return status
        }
        return nil
    }

    private static func line(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let end = bytes.firstIndex(of: 10), end > bytes.startIndex, bytes[end - 1] == 13 else { return nil }
        defer { bytes = bytes[(end + 1)...] }
        return bytes[..<(end - 1)]
    }

    private static func take(_ count: Int, _ bytes: inout ArraySlice<UInt8>) -> Bool {
        guard bytes.count >= count else { return false }
        bytes = bytes.dropFirst(count)
        return true
    }

    private static func takeChunks(_ bytes: inout ArraySlice<UInt8>) -> Bool {
        while let size = line(&bytes).flatMap({ Int(String(decoding: $0, as: UTF8.self), radix: 16) }) {
            guard take(size, &bytes), line(&bytes)?.isEmpty == true else { return false }
            if size == 0 { return true }
        }
        return false
    }
}
