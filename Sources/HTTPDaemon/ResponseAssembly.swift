import ByteSource
import CHTTPDaemon
import HTTPExchange
import HTTPTypes

extension OutgoingResponse {
    /// Fate of a response.
    enum Queueing {
        case queued(SentBody)
        /// There is no memory left to send it.
        case noMemory
        /// The library rejects it: for example a field without a value, or a body for a status that has none.
        case refused
    }

    /// Hands the response to the library, which keeps it until it has been sent.
    func queue(on connection: OpaquePointer, _ sending: Sending) -> Queueing {
        let status = head.status.code
        guard (200...999).contains(status) else { return .refused }
        let made: (OpaquePointer?, SentBody)
        if sending.isHead || status == 304 {
            made = (Self.unsentHandle(body, isHead: sending.isHead), .whole(0))
        } else if body.isEmpty {
            made = (c_httpd_response_empty(), .whole(0))
        } else {
            guard let sent = makeSent(sending) else { return .noMemory }
            made = sent
        }
        guard let response = made.0 else { return .refused }
        defer { c_httpd_response_release(response) }
        guard head.fields.add(to: response) else {
            return .refused
        }
        if sending.closes, !c_httpd_response_add_field(response, "Connection", "close") {
            return .refused
        }
        return c_httpd_queue(connection, UInt32(status), response) ? .queued(made.1) : .refused
    }

    /// The last resort if a response cannot be sent as it is.
    static var internalError: OutgoingResponse {
        let problem = #"{"type":"about:blank","title":"Internal Server Error","status":500}"#
        return OutgoingResponse(
            head: ResponseHead(status: .internalServerError, fields: [.contentType: "application/problem+json"]),
            body: .bytes(Array(problem.utf8))
        )
    }

    private static func unsentHandle(_ body: ResponseBody, isHead: Bool) -> OpaquePointer? {
        // An empty body would add Content-Length: 0, which is wrong for a 304.
        if case .empty = body, !isHead { return unsent(byteCount: nil) }
        return unsent(byteCount: body.byteCount)
    }

    /// Creates a response with a body, and counts the memory that it holds. Returns `nil` if there is too little
    /// memory; the response is `nil` if there can be no such body.
    private func makeSent(_ sending: Sending) -> (OpaquePointer?, SentBody)? {
        let memory = sending.service.bodyMemory
        var held: [BodyMemory.Block] = []
        let uncounted = (self.memory ?? body.largeBytesCount) - (sending.held?.byteCount ?? 0)
        if uncounted > 0 {
            guard let block = memory.reserve(uncounted) else { return nil }
            held.append(block)
        }
        if let count = body.byteCount, count <= SmallBody.uncountedSize,
            let small = SmallBody(body, holding: held)
        {
            return small.makeResponse().map { ($0, .whole(small.count)) }
        }
        guard let byteCount = body.readByteCount else { return (nil, .whole(0)) }
        guard let block = memory.take(byteCount: byteCount) else { return nil }
        held.append(block)
        if block.size == body.byteCount, let small = SmallBody(body, holding: held) {
            return small.makeResponse().map { ($0, .whole(small.count)) }
        }
        let reader = makeReader(holding: held, sending)
        return makeResponse(reader, block).map { ($0, .read(reader)) }
    }

    private func makeReader(holding held: [BodyMemory.Block], _ sending: Sending) -> BodyReader {
        let isUnframed = body.byteCount == nil && !sending.isHTTP11
        if isUnframed { sending.connection.isFramedByItsEnd = true }
        return BodyReader(body, holding: held, sending, isUnframed: isUnframed)
    }

    /// A response whose body is read piece by piece into a block of memory.
    private func makeResponse(_ bodyReader: BodyReader, _ block: BodyMemory.Block) -> OpaquePointer? {
        // Released by the callback the library runs when nothing needs the response any more.
        let reader = Unmanaged.passRetained(bodyReader).toOpaque()
        let read: c_httpd_reader = { reader, position, buffer, capacity in
            Unmanaged<BodyReader>.fromOpaque(reader).takeUnretainedValue()
                .read(at: position, into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
        }
        let release: @convention(c) (UnsafeMutableRawPointer) -> Void = {
            BodyReader.release(Unmanaged.fromOpaque($0))
        }
        if let byteCount = body.byteCount {
            return c_httpd_response_of_reader(UInt64(byteCount), block.size, read, reader, release)
        }
        // The library writes chunks to the connection's memory, not to a block of their own. It sends no chunks to
        // HTTP/1.0 clients.
        return c_httpd_response_of_stream(bodyReader.isUnframed ? block.size : 1, read, reader, release)
    }

    private static func unsent(byteCount: Int?) -> OpaquePointer? {
        byteCount.map { c_httpd_response_unsent(UInt64(clamping: $0)) } ?? c_httpd_response_unsent_of_unknown_size()
    }
}

/// Properties of an exchange that decide how its response is sent.
struct Sending {
    let service: Service
    let connection: Connection
    /// `true` for `HEAD`: no body is read or sent.
    let isHead: Bool
    /// `true` if the client understands chunks.
    let isHTTP11: Bool
    /// `true` if the connection ends with this response.
    let closes: Bool
    /// The response's body, if the memory that it holds counts already.
    let held: HeldBody?
}

extension HeaderFields {
    /// Adds the fields to a response of the library. False if the library rejects a field, or derives it from the body.
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
    /// `true` if nothing follows the head.
    fileprivate var isEmpty: Bool {
        if case .unsent = self { false } else { byteCount == 0 }
    }

    /// Bytes of a body that is whole in memory and too large for a block.
    fileprivate var largeBytesCount: Int {
        if case .bytes(let bytes) = self, bytes.count > SmallBody.largestSize { bytes.count } else { 0 }
    }

    /// Largest useful size of a block for the body, in bytes; `nil` if there is nothing to read.
    fileprivate var readByteCount: Int? {
        switch self {
        case .bytes(let bytes) where !bytes.isEmpty: Self.piece(of: bytes.count)
        case .source(_, let range) where !range.isEmpty: Self.piece(of: range.count)
        // Stands for the memory that the stream itself holds.
        case .stream: SmallBody.largestSize
        case .bytes, .source, .empty, .unsent: nil
        }
    }

    /// A sixteenth of the body, unless that is small. The client receives one block while the next is made, and a short
    /// body in few large blocks would lose much of this overlap.
    private static func piece(of byteCount: Int) -> Int {
        let sixteenth = byteCount / 16
        return max(min(byteCount, SmallBody.largestSize), sixteenth - sixteenth % BodyMemory.smallestBlock)
    }
}

/// Part of a body that has been handed to the library.
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
