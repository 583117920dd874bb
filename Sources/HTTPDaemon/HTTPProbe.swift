import CHTTPDaemon
import Glibc

/// Reason why a service did not answer.
public struct ProbeError: Error {
    public var reason: String
    /// `true` if no service can have this address or path.
    public var isOfAddress = false
    /// `true` if the peer answered or hung up, and may speak another protocol.
    fileprivate var isOfProtocol = false
    /// `true` if the service speaks TLS and the probe did not.
    public var isOfTLS = false

    public init(reason: String, isOfAddress: Bool = false, isOfTLS: Bool = false) {
        self.reason = reason
        self.isOfAddress = isOfAddress
        self.isOfTLS = isOfTLS
    }
}

/// One request over a socket: as little HTTP as a health check needs.
///
/// The calls of the socket interface take addresses and buffers by pointer; no pointer outlives its call.
public struct HTTPProbe {
    public var host: String
    public var port: UInt16
    /// Path of a Unix domain socket, instead of host and port.
    public var socketPath: String?
    /// Seconds for each of connecting, sending and receiving.
    public var timeout: Int
    /// `true` for TLS. Any certificate is accepted: a probe by address has no name to compare.
    public var usesTLS: Bool

    public init(host: String, port: UInt16, socketPath: String? = nil, timeout: Int, usesTLS: Bool = false) {
        self.host = host
        self.port = port
        self.socketPath = socketPath
        self.timeout = timeout
        self.usesTLS = usesTLS
    }

    /// The status of the answer to a GET.
    public func status(of path: String) throws(ProbeError) -> Int {
        do {
            return try ask(path)
        } catch {
            // A service with TLS answers a request in plain text with an alert, or hangs up.
            guard error.isOfProtocol, !usesTLS else { throw error }
            var secure = self
            secure.usesTLS = true
            guard (try? secure.ask(path)) != nil else { throw error }
            throw ProbeError(reason: "it accepts TLS only", isOfTLS: true)
        }
    }

    private func ask(_ path: String) throws(ProbeError) -> Int {
        let descriptor = try connect()
        defer { close(descriptor) }
        let authority = host.contains(":") ? "[\(host)]" : host
        let request = "GET \(path) HTTP/1.1\r\nHost: \(authority):\(port)\r\nConnection: close\r\n\r\n"
        let answer = usesTLS ? try secureAnswer(to: request, descriptor) : try answer(to: request, descriptor)
        let line = String(decoding: answer, as: UTF8.self)
        guard line.hasPrefix("HTTP/1."), let status = Int(line.suffix(3)) else {
            throw .other("it does not speak HTTP")
        }
        return status
    }

    /// Bytes of an answer that the probe reads: "HTTP/1.1 200".
    private static let answerSize = 12

    private func answer(to request: String, _ descriptor: Int32) throws(ProbeError) -> [UInt8] {
        let request = Array(request.utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw .last("cannot send")
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: Self.answerSize)
        while answer.count < Self.answerSize {
            let count = recv(descriptor, &buffer, Self.answerSize - answer.count, 0)
            guard count > 0 else {
                if count == 0 || errno == ECONNRESET { throw .other("it hung up") }
                throw errno == EAGAIN ? ProbeError(reason: "no answer within \(timeout) s") : .last("no answer")
            }
            answer += buffer[..<count]
        }
        return answer
    }

    private func secureAnswer(to request: String, _ descriptor: Int32) throws(ProbeError) -> [UInt8] {
        var answer = [CChar](repeating: 0, count: Self.answerSize)
        let count = c_httpd_tls_exchange(descriptor, request, &answer, answer.count)
        guard count >= 0 else {
            throw ProbeError(reason: "no answer over TLS: \(String(cString: c_httpd_tls_error(count)))")
        }
        guard count == answer.count else { throw .other("it hung up") }
        return answer.map { UInt8(bitPattern: $0) }
    }

    private func connect() throws(ProbeError) -> Int32 {
        guard let socketPath else { return try connectToAddress() }
        return try connect(to: socketPath)
    }

    private func connect(to path: String) throws(ProbeError) -> Int32 {
        let descriptor = c_httpd_connect_to_path(path, UInt32(timeout))
        guard descriptor >= 0 else {
            // The message of `serve` for a path that is too long or empty.
            guard errno != ENAMETOOLONG else {
                throw ProbeError(reason: DaemonError.invalidSocketPath(path).description, isOfAddress: true)
            }
            throw noConnection
        }
        limitTime(of: descriptor)
        return descriptor
    }

    /// The error of a call that did not connect, from `errno`.
    private var noConnection: ProbeError {
        // Of a socket's path and of an address.
        [EAGAIN, EINPROGRESS].contains(errno)
            ? ProbeError(reason: "no connection within \(timeout) s") : .last("cannot connect")
    }

    private func limitTime(of descriptor: Int32) {
        var limit = timeval(tv_sec: timeout, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    }

    private func connectToAddress() throws(ProbeError) -> Int32 {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0, let address = found?.pointee else {
            throw ProbeError(reason: "\"\(host)\" is not a numeric address", isOfAddress: true)
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        guard descriptor >= 0 else { throw .last("no socket") }
        limitTime(of: descriptor)
        guard Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let error = noConnection
            close(descriptor)
            throw error
        }
        return descriptor
    }
}

extension ProbeError {
    /// The error of something that may speak another protocol.
    fileprivate static func other(_ reason: String) -> ProbeError {
        var error = ProbeError(reason: reason)
        error.isOfProtocol = true
        return error
    }

    /// The error of the last system call.
    fileprivate static func last(_ what: String) -> ProbeError {
        ProbeError(reason: "\(what): \(String(cString: strerror(errno)))")
    }
}
