import Foundation

/// Many sockets that cost next to nothing.
public final class Crowd {
    private let descriptors: [Int32]

    /// Connects to a port of 127.0.0.1.
    ///
    /// - Parameter receiveBuffer: Bytes the kernel holds for each.
    public init(_ count: Int, port: UInt16, receiveBuffer: Int32? = nil) throws {
        var descriptors: [Int32] = []
        do {
            for _ in 0..<count { descriptors.append(try Self.connect(port: port, receiveBuffer)) }
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
        self.descriptors = descriptors
    }

    deinit {
        for descriptor in descriptors { close(descriptor) }
    }

    private static func connect(port: UInt16, _ receiveBuffer: Int32?) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw RawClient.Failure("connect: \(reason)")
        }
        return descriptor
    }

    public var count: Int { descriptors.count }

    /// Sends what fits without waiting.
    public func send(_ text: String, from index: Int) {
        let bytes = Array(text.utf8)
        _ = Foundation.send(
            descriptors[index],
            bytes,
            bytes.count,
            Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
        )
    }

    /// Takes some bytes, if there are any.
    ///
    /// - Returns: How many; `nil` at the end of the stream.
    public func receive(_ count: Int, at index: Int) -> Int? {
        var buffer = [UInt8](repeating: 0, count: count)
        let received = recv(descriptors[index], &buffer, count, Int32(MSG_DONTWAIT))
        return received == 0 || received < 0 && errno != EAGAIN ? nil : max(0, received)
    }

    /// Those whose other end has not closed.
    public var openCount: Int {
        descriptors.count { descriptor in
            var byte: UInt8 = 0
            let received = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
            return received > 0 || received < 0 && errno == EAGAIN
        }
    }

    /// Raises this process's limit of open files.
    ///
    /// - Returns: Whether the system allows as many.
    public static func makeRoom(for count: Int) -> Bool {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return false }
        guard limit.rlim_cur < rlim_t(count) else { return true }
        limit.rlim_cur = rlim_t(count)
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }
}
