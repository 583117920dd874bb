import Foundation

/// Many sockets that need little memory.
public final class Crowd {
    private let descriptors: [Int32]

    /// Connects to a port of 127.0.0.1.
    ///
    /// - Parameter receiveBuffer: Size of each socket's receive buffer in bytes.
    public init(_ count: Int, port: UInt16, receiveBuffer: Int32? = nil) throws {
        var descriptors: [Int32] = []
        do {
            for _ in 0..<count { descriptors.append(try connectedSocket(port: port, receiveBuffer: receiveBuffer)) }
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
        self.descriptors = descriptors
    }

    deinit {
        for descriptor in descriptors { close(descriptor) }
    }

    public var count: Int { descriptors.count }

    /// Sends as many bytes as fit without waiting.
    public func send(_ text: String, from index: Int) {
        let bytes = Array(text.utf8)
        _ = Foundation.send(
            descriptors[index],
            bytes,
            bytes.count,
            Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
        )
    }

    /// Receives bytes that have arrived, without waiting.
    ///
    /// - Returns: The number of bytes; `nil` at the end of the stream.
    public func receive(_ count: Int, at index: Int) -> Int? {
        var buffer = [UInt8](repeating: 0, count: count)
        let received = recv(descriptors[index], &buffer, count, Int32(MSG_DONTWAIT))
        return received == 0 || received < 0 && errno != EAGAIN ? nil : max(0, received)
    }

    /// Number of sockets whose other end has not closed.
    public var openCount: Int {
        descriptors.count { descriptor in
            var byte: UInt8 = 0
            let received = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
            return received > 0 || received < 0 && errno == EAGAIN
        }
    }

    /// Raises this process's limit of open files.
    ///
    /// - Returns: `true` if the system allows this number.
    public static func makeRoom(for count: Int) -> Bool {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return false }
        guard limit.rlim_cur < rlim_t(count) else { return true }
        limit.rlim_cur = rlim_t(count)
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }
}
