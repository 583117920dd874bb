import CHTTPDaemon
import Glibc

/// Reason why a daemon did not start.
public enum DaemonError: Error, Equatable {
    case invalidConfiguration(String)
    /// Not a numeric IPv4 or IPv6 address.
    case invalidAddress(String)
    /// No interface of this machine has the address.
    case addressNotAvailable(String)
    case portTaken(host: String, port: UInt16)
    case notPermitted(host: String, port: UInt16)
    /// The path is too long for a socket, or empty.
    case invalidSocketPath(String)
    /// A program listens at the path, or the path is not a socket.
    case socketPathTaken(String)
    case socketPathNotPermitted(String)
    /// A directory of the path is missing.
    case socketPathMissing(String)
    /// The certificate or its key cannot be read, or they do not belong together.
    case badCertificate(String)
    /// The system refused for another reason.
    case system(String)
}

extension DaemonError {
    /// `true` if the configuration is wrong on every machine; `false` if something on this machine is in its way.
    public var isOfConfiguration: Bool {
        switch self {
        case .invalidConfiguration, .invalidAddress, .invalidSocketPath: true
        default: false
        }
    }
}

extension DaemonError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidConfiguration(let reason): "Invalid configuration: \(reason)."
        case .invalidAddress(let host): "\"\(host)\" is neither localhost nor a numeric IPv4 or IPv6 address."
        case .addressNotAvailable(let host): "No interface of this machine has the address \(host)."
        case .portTaken(let host, let port): "Port \(port) on \(host) is taken by another program."
        case .notPermitted(let host, let port): "This user may not listen on port \(port) of \(host)."
        case .invalidSocketPath(let path): "\"\(path)\" cannot be the path of a socket, which has 1 to 107 bytes."
        case .socketPathTaken(let path): "\(path) is taken by another program, or is not a socket."
        case .socketPathNotPermitted(let path): "This user may not listen at \(path)."
        case .socketPathMissing(let path): "There is no directory for \(path)."
        case .badCertificate(let reason): "The certificate or its key cannot be used: \(reason)"
        case .system(let reason): "Cannot listen: \(reason)."
        }
    }
}

extension DaemonError {
    init(_ failure: c_httpd_failure, configuration: DaemonConfiguration) {
        if let reason = failure.reason {
            self = .badCertificate(String(cString: reason))
            return
        }
        let (host, port) = (configuration.host, configuration.port)
        if let path = configuration.socketPath {
            self =
                switch (Int(failure.step), failure.code) {
                case (C_HTTPD_FAILED_ADDRESS, _): .invalidSocketPath(path)
                case (_, EADDRINUSE): .socketPathTaken(path)
                case (_, EACCES), (_, EPERM), (_, EROFS): .socketPathNotPermitted(path)
                case (_, ENOENT), (_, ENOTDIR): .socketPathMissing(path)
                case (_, let code): .system(String(cString: strerror(code)))
                }
            return
        }
        self =
            switch (Int(failure.step), failure.code) {
            case (C_HTTPD_FAILED_ADDRESS, _): .invalidAddress(host)
            case (_, EADDRINUSE): .portTaken(host: host, port: port)
            case (_, EACCES), (_, EPERM): .notPermitted(host: host, port: port)
            case (_, EADDRNOTAVAIL): .addressNotAvailable(host)
            case (_, 0): .system("the library gave no reason")
            case (_, let code): .system(String(cString: strerror(code)))
            }
    }
}
