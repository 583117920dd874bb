import Foundation

/// A client that sends exactly the given bytes.
public final class RawClient {
    public private(set) var descriptor: Int32
    private var received: [UInt8] = []
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    /// - Parameter receiveBuffer: Size of the kernel's receive buffer in bytes.
    public init(port: UInt16, receiveBuffer: Int32? = nil) throws {
        descriptor = try connectedSocket(port: port, receiveBuffer: receiveBuffer)
        // No call waits for ever, because a test that hangs reports nothing.
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// A client that has read the head of a long response, and whose kernel holds little of the body.
    public static func slowReader(
        port: UInt16,
        _ target: String,
        receiveBuffer: Int32 = 16 << 10
    ) throws -> RawClient {
        let client = try RawClient(port: port, receiveBuffer: receiveBuffer)
        client.sendGet(target)
        let head = try client.readHead()
        guard head.status == 200 else { throw Failure("\(target) is answered with \(head.status)") }
        return client
    }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    public struct Response {
        public var status: Int
        public var fields: [(name: String, value: String)]
        public var body: [UInt8]

        public subscript(name: String) -> String? {
            fields.first { $0.name.lowercased() == name.lowercased() }?.value
        }

        public var text: String { String(decoding: body, as: UTF8.self) }
    }

    deinit {
        if descriptor >= 0 {
            close(descriptor)
        }
    }

    public func send(_ text: String) {
        send(Array(text.utf8))
    }

    /// Sends the bytes; those that the server no longer accepts are lost.
    public func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Foundation.send(
                    descriptor,
                    $0.baseAddress.map { $0 + sent },
                    bytes.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else {
                return
            }
            sent += count
        }
    }

    /// - Parameter fields: Further header fields, each with its line's end.
    public func sendGet(_ target: String, _ fields: String = "") {
        send("GET \(target) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n")
    }

    /// The response to a GET.
    public func get(_ target: String, _ fields: String = "") throws -> Response {
        sendGet(target, fields)
        return try readResponse()
    }

    public func finishSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Closes so that the other end sees a reset.
    public func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Foundation.linger>.size))
        close(descriptor)
        descriptor = -1
    }

    /// Receives more bytes; `false` at the end of the stream, or if nothing arrives for a minute.
    private func fill() -> Bool {
        errno = 0
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else {
            return false
        }
        received += buffer[..<count]
        return true
    }

    /// The next `count` bytes, fewer at the end of the stream.
    public func read(_ count: Int) -> [UInt8] {
        while received.count < count, fill() {}
        defer { received.removeFirst(min(count, received.count)) }
        return Array(received.prefix(count))
    }

    public func readToEnd() -> [UInt8] {
        while fill() {}
        defer { received = [] }
        return received
    }

    /// Reads and drops all bytes.
    ///
    /// - Returns: `true` if the connection ends with a reset; `false` if it ends normally.
    public func readToReset() -> Bool {
        while fill() {}
        return errno == ECONNRESET
    }

    /// `true` if the server has closed the connection and sent nothing more.
    public func isAtEnd() -> Bool {
        var byte: UInt8 = 0
        return received.isEmpty && recv(descriptor, &byte, 1, 0) == 0
    }

    private func readLine() throws -> String {
        while true {
            if let end = received.firstIndex(of: 10) {
                defer { received.removeFirst(end + 1) }
                guard end > 0, received[end - 1] == 13 else {
                    throw Failure("a line without CR LF")
                }
                return String(decoding: received[..<(end - 1)], as: UTF8.self)
            }
            guard fill() else {
                throw Failure("the stream ended in a line: \(String(decoding: received, as: UTF8.self))")
            }
        }
    }

    public func readHead() throws -> Response {
        let line = try readLine().split(separator: " ", maxSplits: 2)
        guard line.count == 3, line[0] == "HTTP/1.1", let status = Int(line[1]) else {
            throw Failure("not a status line: \(line)")
        }
        var response = Response(status: status, fields: [], body: [])
        while case let field = try readLine(), !field.isEmpty {
            let parts = field.split(separator: ":", maxSplits: 1)
            response.fields.append((String(parts[0]), parts[1].trimmingCharacters(in: .whitespaces)))
        }
        return response
    }

    /// - Parameter toHead: `true` if the response is to HEAD, and so has no body even if it states a length.
    public func readResponse(toHead: Bool = false) throws -> Response {
        var response = try readHead()
        if toHead || response.status == 304 || response.status == 204 || response.status < 200 {
            return response
        }
        var body: [UInt8] = []
        try readBody(after: response) { body += $0 }
        response.body = body
        return response
    }

    /// Reads the body after a head and passes it on piece by piece, so that large bodies need little memory.
    public func readBody(after head: Response, _ consume: (ArraySlice<UInt8>) throws -> Void) throws {
        if let length = head["Content-Length"].flatMap(Int.init) {
            try hand(on: length, to: consume)
        } else if head["Transfer-Encoding"] == "chunked" {
            while let size = Int(try readLine(), radix: 16), size > 0 {
                try hand(on: size, to: consume)
                _ = try readLine()
            }
            _ = try readLine()
        } else {
            while !received.isEmpty || fill() {
                try consume(received[...])
                received.removeAll(keepingCapacity: true)
            }
        }
    }

    private func hand(on count: Int, to consume: (ArraySlice<UInt8>) throws -> Void) throws {
        var left = count
        while left > 0 {
            guard !received.isEmpty || fill() else {
                throw Failure("\(count - left) bytes of \(count)")
            }
            let piece = received.prefix(left)
            left -= piece.count
            try consume(piece)
            received.removeFirst(piece.count)
        }
    }
}
