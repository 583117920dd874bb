import ByteSource
import CHTTPDaemon
import HTTPExchange

/// The body of one response while it is sent. Used only by the thread that serves the connection.
final class BodyReader {
    /// Minimum number of bytes asked of a source at a time.
    private static let smallestSize = 4 << 10
    /// Nanoseconds in which all active bodies of a thread should have a turn, and nanoseconds of one turn.
    private static let roundTime = 16_000_000
    private static let turnTimes = 200_000...2_000_000
    /// Nanoseconds without a byte after which a system call checks that the client is still there.
    private static let silence = 500_000_000

    private var body: ResponseBody
    /// The same body, if its memory counts as a job's.
    private let held: HeldBody?
    private let service: Service
    private let connection: Connection
    /// Memory that counts as taken as long as this object exists.
    private let memory: [BodyMemory.Block]
    /// `true` if the end of the connection ends the client's body.
    let isUnframed: Bool
    /// Bytes that have been read.
    private(set) var byteCount = 0
    /// Bytes to ask for in one call: fewer than the buffer holds after calls that took long.
    private var size = Int.max
    /// Time at which the last bytes were read.
    private var lastRead = Timestamp.now

    /// - Parameter memory: Counts as taken as long as the body exists.
    init(_ body: ResponseBody, holding memory: [BodyMemory.Block], _ sending: Sending, isUnframed: Bool) {
        self.body = body
        self.memory = memory
        self.isUnframed = isUnframed
        service = sending.service
        connection = sending.connection
        held = sending.held
    }

    deinit {
        // Frees the body before its memory stops counting.
        body = .empty
    }

    /// Releases the library's reference.
    static func release(_ reader: Unmanaged<BodyReader>) {
        let (service, memory) = reader._withUnsafeGuaranteedRef { ($0.service, $0.held?.byteCount ?? 0) }
        service.freeing.release(reader, memory: memory)
    }

    /// Reads part of the body. Returns the number of bytes written, which is 0 if there are none yet. Returns a
    /// negative number at the end, or if the body breaks its promises, which cuts the connection.
    func read(at position: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int64 {
        size = min(size, buffer.count)
        var count = readPiece(at: position, into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(size)))
        let now = Timestamp.now
        if count > 0 {
            byteCount += Int(count)
        } else if count == 0, now.nanoseconds(since: lastRead) > Self.silence {
            // The library looks at the socket only when there is something to send.
            if isClientGone { count = Int64(C_HTTPD_BODY_BROKEN) }
        }
        if count != 0 { lastRead = now }
        if isUnframed, count < 0 {
            connection.isFramedByItsEnd = false
            if count == Int64(C_HTTPD_BODY_BROKEN) { c_httpd_reset(connection.descriptor) }
        }
        return count
    }

    private var isClientGone: Bool {
        var isGone = false
        c_httpd_wait_for_hang_up([connection.descriptor], &isGone, 1, 0)
        lastRead = .now
        return isGone
    }

    private func readPiece(at position: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int64 {
        // A body is shorter than Int.max, and the library asks for no more than it was told there is.
        guard let position = Int(exactly: position), !buffer.isEmpty else {
            return Int64(C_HTTPD_BODY_BROKEN)
        }
        switch body {
        case .bytes(let bytes):
            guard position < bytes.count else {
                return Int64(C_HTTPD_BODY_END)
            }
            let count = min(buffer.count, bytes.count - position)
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<position + count]))
            }
            return Int64(count)
        case .source(let source, let range):
            guard position < range.count else {
                return Int64(C_HTTPD_BODY_END)
            }
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(range.count - position))
            var destination = room.mutableBytes
            let count = timed { source.read(at: range.lowerBound + position, into: &destination) }
            return (0...room.count).contains(count) ? Int64(count) : Int64(C_HTTPD_BODY_BROKEN)
        case .stream(let stream):
            var destination = buffer.mutableBytes
            guard let count = timed({ stream.read(into: &destination) }) else {
                return Int64(C_HTTPD_BODY_END)
            }
            return (0...buffer.count).contains(count) ? Int64(count) : Int64(C_HTTPD_BODY_BROKEN)
        case .empty, .unsent:
            return Int64(C_HTTPD_BODY_BROKEN)
        }
    }

    /// Runs a call and measures its time. After a long call, the next one asks for fewer bytes, so that other bodies
    /// have their turn; after a short call, for more.
    private func timed<Result>(_ call: () -> Result) -> Result {
        let start = Timestamp.now
        let result = call()
        let time = Timestamp.now.nanoseconds(since: start)
        let share = Self.roundTime * service.configuration.threadCount / max(1, service.activeExchanges)
        let turn = min(max(share, Self.turnTimes.lowerBound), Self.turnTimes.upperBound)
        if time > turn {
            size = max(Self.smallestSize, size / 2)
        } else if time < turn / 4 {
            size = min(2 * size, service.configuration.blockSize)
        }
        return result
    }
}
