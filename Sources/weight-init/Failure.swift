import ArgumentParser
import Glibc
import WeightInit

/// What could not be done, in a sentence. The command ends with 1.
struct Failure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }

    /// What the last call of the system failed with.
    static func last(_ what: String) -> Failure {
        Failure("\(what): \(String(cString: strerror(errno)))")
    }
}

extension ValidationError {
    /// A request that is refused, in the service's words. The command ends with 64, as for options that it does not have.
    ///
    /// - Parameter document: The name of the JSON request, and the members that are not from there.
    init(_ error: InitError, document: (name: String, others: [String])? = nil, positional: [String] = []) {
        let subject: String
        if let document, !document.others.contains(error.path.first ?? "") {
            subject = ([document.name] + error.path).joined(separator: "/") + ": "
        } else if let name = error.path.first {
            let indices = error.path.dropFirst().filter { Int($0) != nil }.map { "[\($0)]" }
            subject = (positional.contains(name) ? name : "--" + name) + indices.joined() + ": "
        } else {
            subject = ""
        }
        let isHinted = error.detail.contains("did you mean")
        let allowed = isHinted || error.allowed.isEmpty ? "" : "; one of " + error.allowed.joined(separator: ", ")
        self.init(subject + error.detail + allowed)
    }
}
