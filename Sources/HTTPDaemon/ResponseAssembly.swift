import ByteSource
import CHTTPDaemon
import HTTPExchange
import HTTPTypes

extension OutgoingResponse {
    /// What became of a response.
    enum Queueing {
        case queued(SentBody)
        /// There is no memory left to send it by.
        case noMemory
        /// The library does not take it: a field with no value, a body where there can be none.
        case refused
    }

    /// Hands the response to the library, which keeps what it needs until it has been sent.
    ///
    /// - Parameters:
    ///   - isHead: Whether the request was `HEAD`: then no body is read, let alone sent.
    ///   - closes: Whether the connection ends with this response.
    ///   - memory: Where a body gets the block that it is sent by.
    func queue(on connection: OpaquePointer, isHead: Bool, closes: Bool, memory: BodyMemory) -> Queueing {
        let status = head.status.code
        guard (200...999).contains(status) else { return .refused }
        let made: (OpaquePointer?, SentBody)
        if isHead || status == 304 {
            made = (Self.unsentHandle(body, isHead: isHead), .whole(0))
        } else if let small = SmallBody(body) {
            made = (small.makeResponse(), .whole(small.count))
        } else if let byteCount = body.readByteCount {
            guard let block = memory.take(byteCount: byteCount) else { return .noMemory }
            made = Self.readingHandle(body, block, memory)
        } else {
            made = (body.isEmpty ? c_httpd_response_empty() : nil, .whole(0))
        }
        guard let response = made.0 else { return .refused }
        defer { c_httpd_response_release(response) }
        guard head.headerFields.add(to: response) else {
            return .refused
        }
        if closes, !c_httpd_response_add_field(response, "Connection", "close") {
            return .refused
        }
        return c_httpd_queue(connection, UInt32(status), response) ? .queued(made.1) : .refused
    }

    /// The last resort, where a response cannot be sent as it is.
    static var internalError: OutgoingResponse {
        let problem = #"{"type":"about:blank","title":"Internal Server Error","status":500}"#
        return OutgoingResponse(
            head: HTTPResponse(status: .internalServerError, headerFields: [.contentType: "application/problem+json"]),
            body: .bytes(Array(problem.utf8))
        )
    }

    private static func unsentHandle(_ body: ResponseBody, isHead: Bool) -> OpaquePointer? {
        // An empty body says Content-Length: 0, which of a 304 would be a lie.
        if case .empty = body, !isHead { return unsent(byteCount: nil) }
        return unsent(byteCount: body.byteCount)
    }

    /// A response whose body is read piece by piece into a block of memory.
    private static func readingHandle(
        _ body: ResponseBody,
        _ block: BodyMemory.Block,
        _ memory: BodyMemory
    ) -> (OpaquePointer?, SentBody) {
        switch body {
        case .bytes(let bytes):
            reading(.bytes(bytes), byteCount: bytes.count, block)
        case .source(let source, let range):
            reading(.source(memory.readAhead(source, range, block: block), range), byteCount: range.count, block)
        case .stream(let stream):
            reading(.stream(stream), byteCount: nil, block)
        case .empty, .unsent:
            (nil, .whole(0))
        }
    }

    private static func unsent(byteCount: Int?) -> OpaquePointer? {
        byteCount.map { c_httpd_response_unsent(UInt64(clamping: $0)) } ?? c_httpd_response_unsent_of_unknown_size()
    }

    private static func reading(
        _ body: BodyReader.Body,
        byteCount: Int?,
        _ block: BodyMemory.Block
    ) -> (OpaquePointer?, SentBody) {
        let bodyReader = BodyReader(body, block)
        // Released by the callback the library runs when nothing needs the response any more.
        let reader = Unmanaged.passRetained(bodyReader).toOpaque()
        let read: c_httpd_reader = { reader, position, buffer, capacity in
            Unmanaged<BodyReader>.fromOpaque(reader).takeUnretainedValue()
                .read(at: position, into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
        }
        let release: @convention(c) (UnsafeMutableRawPointer) -> Void = {
            Unmanaged<BodyReader>.fromOpaque($0).release()
        }
        // The library puts chunks into the connection's memory, not into a block of their own.
        let response =
            byteCount.map { c_httpd_response_of_reader(UInt64($0), block.size, read, reader, release) }
            ?? c_httpd_response_of_stream(1, read, reader, release)
        return (response, .read(bodyReader))
    }
}

extension HTTPFields {
    /// Adds them to a response of the library's. False where it does not take one, or writes it by itself from the body.
    func add(to response: OpaquePointer) -> Bool {
        allSatisfy { field in
            guard field.name != .contentLength, field.name != .transferEncoding else { return false }
            return field.name.rawName.withCString { name in
                field.value.withCString { c_httpd_response_add_field(response, name, $0) }
            }
        }
    }
}

extension ResponseBody {
    /// Whether nothing follows the head.
    fileprivate var isEmpty: Bool {
        if case .unsent = self { false } else { byteCount == 0 }
    }

    /// The bytes that a block for the body need not exceed; `nil` where there is nothing to read.
    fileprivate var readByteCount: Int? {
        switch self {
        case .bytes(let bytes) where !bytes.isEmpty: Self.piece(of: bytes.count)
        case .source(_, let range) where !range.isEmpty: Self.piece(of: range.count)
        // Counted for what the stream itself holds.
        case .stream: SmallBody.largestSize
        case .bytes, .source, .empty, .unsent: nil
        }
    }

    /// A sixteenth, unless that is small: the client receives one block while the next is made, which of a short body is
    /// much of the time.
    private static func piece(of byteCount: Int) -> Int {
        let sixteenth = byteCount / 16
        return max(min(byteCount, SmallBody.largestSize), sixteenth - sixteenth % BodyMemory.smallestBlock)
    }
}

/// How much of a body has been handed to the library.
enum SentBody {
    case whole(Int)
    case read(BodyReader)

    var byteCount: Int {
        switch self {
        case .whole(let byteCount): byteCount
        case .read(let reader): reader.byteCount
        }
    }
}

/// The body of one response while it is sent. Used by the thread that serves the connection alone.
final class BodyReader {
    enum Body {
        case bytes([UInt8])
        case source(any ByteSource, Range<Int>)
        case stream(any ByteStream)
    }

    private let body: Body
    /// What the library holds for it.
    private let block: BodyMemory.Block
    /// Bytes that have been read.
    private(set) var byteCount = 0

    init(_ body: Body, _ block: BodyMemory.Block) {
        self.body = body
        self.block = block
    }

    /// The number of bytes written, 0 where there is none yet; negative at the end, and where the body breaks its promises,
    /// which cuts the connection.
    func read(at position: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int64 {
        let count = readPiece(at: position, into: buffer)
        byteCount += Int(max(0, count))
        return count
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
            let count = source.read(at: range.lowerBound + position, into: &destination)
            return (0...room.count).contains(count) ? Int64(count) : Int64(C_HTTPD_BODY_BROKEN)
        case .stream(let stream):
            var destination = buffer.mutableBytes
            guard let count = stream.read(into: &destination) else {
                return Int64(C_HTTPD_BODY_END)
            }
            return (0...buffer.count).contains(count) ? Int64(count) : Int64(C_HTTPD_BODY_BROKEN)
        }
    }
}
