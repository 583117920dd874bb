import Glibc

/// Output of the commands.
enum StandardOutput {
    /// Makes a closed pipe end the process quietly by SIGPIPE, as it ends other filters, even if the parent ignores or
    /// blocks that signal. `serve` ignores it again, because clients close connections.
    static func endsWithItsReader() {
        signal(SIGPIPE, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGPIPE)
        sigprocmask(SIG_UNBLOCK, &set, nil)
    }

    /// Writes text at once. Unlike `print`, it throws if that fails, for example on a full disk.
    static func write(_ text: String) throws(Failure) {
        var output = OutputFile.standardOutput()
        try output.append(Array(text.utf8).span.bytes)
    }

    /// Writes a line.
    static func writeLine(_ text: String) throws(Failure) {
        try write(text + "\n")
    }
}
