import Glibc

/// Maximum size in bytes of a file of tokens or certificates, which is read into memory as a whole.
private let optionFileLimit = 16 << 20

/// The bytes of a file that an option names.
func contents(of path: String, for option: String) throws(Failure) -> [UInt8] {
    do throws(Failure) {
        return try contents(of: path, limit: optionFileLimit)
    } catch {
        throw Failure("\(option): \(error)")
    }
}

/// The bytes of a file, or of standard input for `-`.
///
/// - Parameter limit: Largest number of bytes, a whole number of MiB: devices have no end.
func contents(of path: String, limit: Int = 1 << 30) throws(Failure) -> [UInt8] {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last("cannot read \(path)") }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    return try contents(of: descriptor, path, limit: limit)
}

/// The bytes of an open file from its current position to its end.
///
/// - Parameter path: Name of the file, for errors.
func contents(of descriptor: Int32, _ path: String, limit: Int) throws(Failure) -> [UInt8] {
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &block, block.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw .last("cannot read \(path)") }
        guard count > 0 else { return bytes }
        guard count <= limit - bytes.count else { throw Failure("\(path) is longer than \(limit >> 20) MiB") }
        bytes += block[..<count]
    }
}
