import Glibc
import InitService

/// Something that keeps a command from starting.
struct CommandFault: Error, CustomStringConvertible {
    let description: String
}

/// Reads a file that an option names.
///
/// - Throws: `CommandFault`, for what cannot be read or is no such file.
func readFile(_ path: String, for option: String) throws -> [UInt8] {
    let limit = 1 << 20
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandFault.reading(option, path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw CommandFault.reading(option, path) }
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
        guard bytes.count <= limit else {
            throw CommandFault(description: "\(option) \(path) has more than \(limit) bytes.")
        }
    }
}

extension CommandFault {
    /// What the last call of the system failed with.
    fileprivate static func reading(_ option: String, _ path: String) -> CommandFault {
        CommandFault(description: "Cannot read \(option) \(path): \(String(cString: strerror(errno))).")
    }
}

extension AccessTokens {
    private static let option = "--token-file"

    convenience init(file path: String) throws {
        let list = try readFile(path, for: Self.option)
        do {
            try self.init(list: list)
        } catch {
            throw CommandFault(description: "\(Self.option) \(path): \(error).")
        }
    }

    /// - Throws: `CommandFault`; then the tokens are what they were.
    func reload(file path: String) throws {
        let list = try readFile(path, for: Self.option)
        do {
            try replace(by: list)
        } catch {
            throw CommandFault(description: "\(Self.option) \(path): \(error).")
        }
    }
}
