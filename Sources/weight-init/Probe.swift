import Glibc

struct ProbeError: Error {
    var reason: String
}

/// One request over a socket: as little HTTP as a health check needs.
///
/// The calls of the socket interface take addresses and buffers by pointer; none outlives its call.
struct Probe {
    var host: String
    var port: UInt16
    /// Seconds for each of connecting, sending and receiving.
    var timeout: Int

    /// The status of the answer to a GET.
    func status(of path: String) throws(ProbeError) -> Int {
        let descriptor = try connect()
        defer { close(descriptor) }
        let authority = host.contains(":") ? "[\(host)]" : host
        let request = Array("GET \(path) HTTP/1.1\r\nHost: \(authority):\(port)\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw .last("cannot send")
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 512)
        // "HTTP/1.1 200" is all that is looked at.
        while answer.count < 12 {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { throw count == 0 ? ProbeError(reason: "it hung up") : .last("no answer") }
            answer += buffer[..<count]
        }
        let line = String(decoding: answer[..<12], as: UTF8.self)
        guard line.hasPrefix("HTTP/1."), let status = Int(line.suffix(3)) else {
            throw ProbeError(reason: "it does not speak HTTP")
        }
        return status
    }

    private func connect() throws(ProbeError) -> Int32 {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0, let address = found?.pointee else {
            throw ProbeError(reason: "not an address in numbers")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        guard descriptor >= 0 else { throw .last("no socket") }
        var limit = timeval(tv_sec: timeout, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        guard Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let error = ProbeError.last("cannot connect")
            close(descriptor)
            throw error
        }
        return descriptor
    }
}

extension ProbeError {
    /// What the last call of the system failed with.
    fileprivate static func last(_ what: String) -> ProbeError {
        ProbeError(reason: "\(what): \(String(cString: strerror(errno)))")
    }
}
