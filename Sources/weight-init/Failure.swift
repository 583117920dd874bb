import ArgumentParser
import ByteText
import Glibc
import InitAPI
import WeightInit

/// A failure in one sentence; the exit code is 1.
struct Failure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }

    /// The error of the last system call.
    static func last(_ what: String) -> Failure {
        Failure("\(what): \(String(cString: strerror(errno)))")
    }
}

extension ValidationError {
    /// A refused request, in the service's words; the exit code is 64, as for unknown options.
    ///
    /// - Parameters:
    ///   - document: Name of the JSON request, and the members given as options.
    ///   - positional: Members given as arguments.
    init(_ error: InitError, document: (name: String, others: [Text])? = nil, positional: [Text] = []) {
        let subject: String
        if let document, !document.others.contains(error.path.first ?? "") {
            subject = ([Text(document.name)] + error.path).joined(separator: "/") + ": "
        } else if let name = error.path.first {
            let indices = error.path.dropFirst().filter { Int($0.description) != nil }.map { "[\($0)]" }
            subject = (positional.contains(name) ? name : "--" + name).description + indices.joined() + ": "
        } else {
            subject = ""
        }
        let isHinted = error.detail.contains("did you mean")
        let allowed = isHinted || error.allowed.isEmpty ? "" : "; one of " + error.allowed.joined(separator: ", ")
        self.init(subject + error.message + allowed)
    }
}
