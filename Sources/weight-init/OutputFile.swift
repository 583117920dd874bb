import Glibc

/// The output: standard output, a device, a pipe, or a file that gets its name when it is complete.
///
/// Until then, a locked file with the extension `.partial` holds the bytes. If the command ends early, the partial file
/// is removed, or kept if it can be resumed.
struct OutputFile: ~Copyable {
    let descriptor: Int32
    /// `nil` for a device, a pipe or standard output.
    private var partial: Partial?
    /// Name for messages.
    private let name: String
    /// Bytes in the file.
    private(set) var byteCount = 0

    /// - Parameter descriptor: Stays open.
    private init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    static func standardOutput() -> OutputFile {
        OutputFile(descriptor: STDOUT_FILENO, name: "standard output")
    }

    /// - Parameters:
    ///   - isReplacing: Overwrites an existing file or partial file.
    ///   - isResuming: Resumes a partial file, and keeps it if the command ends early.
    init(path: String, isReplacing: Bool, isResuming: Bool) throws(Failure) {
        let partial = try Partial(path, isReplacing: isReplacing, isResuming: isResuming)
        let descriptor = if let partial { try partial.open() } else { open(path, O_WRONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw .last("cannot write to \(path)") }
        self.descriptor = descriptor
        self.partial = partial
        name = path
        byteCount = partial == nil ? 0 : Int(lseek(descriptor, 0, SEEK_END))
    }

    deinit {
        // `finish` was not reached.
        if let partial, !partial.isKept { unlink(partial.path) }
        if descriptor != STDOUT_FILENO { close(descriptor) }
    }

    /// `true` if the output is a terminal.
    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Empties the file.
    mutating func truncate() throws(Failure) {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw .last("cannot write \(name)")
        }
        byteCount = 0
    }

    /// Reads bytes from a position.
    func bytes(at position: Int, count: Int) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            // Unsafe because system calls take pointers.
            let got = bytes.withUnsafeMutableBytes { all in
                let rest = UnsafeMutableRawBufferPointer(rebasing: all[filled...])
                return pread(descriptor, rest.baseAddress, rest.count, position + filled)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw .last("cannot read \(name)") }
            filled += got
        }
        return bytes
    }

    /// Appends bytes.
    mutating func append(_ bytes: RawSpan) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            // Unsafe because system calls take pointers.
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failureOfWriting() }
            byteCount += count
            rest = rest.extracting(droppingFirst: count)
        }
    }

    /// Gives the file its name.
    mutating func finish() throws(Failure) {
        guard let partial else { return }
        guard fsync(descriptor) == 0 else { throw failureOfWriting() }
        guard place(partial) else { throw .last("cannot rename \(partial.path) to \(name)") }
        Interruption.removesNothing()
        self.partial = nil
    }

    private func place(_ partial: Partial) -> Bool {
        guard !partial.isReplacing else { return rename(partial.path, partial.finalPath) == 0 }
        // Unlike renaming, linking never replaces a file created meanwhile.
        if link(partial.path, partial.finalPath) == 0 { return unlink(partial.path) == 0 }
        // Some file systems have no hard links.
        guard errno != EEXIST, access(partial.finalPath, F_OK) != 0 else { return false }
        return rename(partial.path, partial.finalPath) == 0
    }

    private func failureOfWriting() -> Failure {
        let failure = Failure.last("cannot write \(name)")
        guard let partial, partial.isKept else { return failure }
        return Failure("\(failure); --resume continues with \(partial.path)")
    }
}

/// A file that is not complete yet.
private struct Partial {
    let finalPath: String
    let path: String
    let isReplacing: Bool
    let isKept: Bool

    /// - Returns: `nil` for a device or a pipe.
    init?(_ path: String, isReplacing: Bool, isResuming: Bool) throws(Failure) {
        var status = stat()
        if stat(path, &status) == 0 {
            switch status.st_mode & S_IFMT {
            case S_IFDIR: throw Failure("\(path) is a directory")
            case S_IFREG where !isReplacing: throw Failure("\(path) exists; --force overwrites it")
            case S_IFREG: break
            default: return nil
            }
        } else if lstat(path, &status) == 0 {
            throw Failure("\(path) is a symbolic link to a file that does not exist")
        }
        // Replaces the target of a symbolic link, not the link.
        finalPath = realPath(path) ?? path
        self.path = finalPath + ".partial"
        self.isReplacing = isReplacing
        isKept = isResuming
    }

    /// Opens and locks the file, and empties it unless it is resumed.
    func open() throws(Failure) -> Int32 {
        let isNew = !isReplacing && !isKept
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (isNew ? O_EXCL : 0), 0o666)
        guard descriptor >= 0 else {
            throw errno == EEXIST
                ? Failure("\(path) exists: --resume continues with it, --force overwrites it")
                : .last("cannot write \(path)")
        }
        var (status, current) = (stat(), stat())
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Failure("\(path) is not a file")
        }
        // Another process may have held the lock and renamed the file.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, stat(path, &current) == 0,
            current.st_ino == status.st_ino, current.st_dev == status.st_dev
        else { throw Failure("\(path) is being written by another process") }
        Interruption.removes(isKept ? nil : path)
        guard !isKept else { return descriptor }
        guard ftruncate(descriptor, 0) == 0 else { throw .last("cannot write \(path)") }
        return descriptor
    }
}

/// The path without symbolic links; `nil` if it does not exist.
private func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
}
