internal import ByteText
import HTTPTypes

extension HTTPFields {
    /// Fields that the library has no names for.
    enum Further {
        static let errorCode = HTTPField.Name("X-Error-Code")
        static let errorMessage = HTTPField.Name("X-Error-Message")
        static let reprDigest = HTTPField.Name("Repr-Digest")
        static let repositoryCommit = HTTPField.Name("X-Repo-Commit")
        static let requestID = HTTPField.Name("X-Request-Id")
        static let tensorDtype = HTTPField.Name("X-Tensor-Dtype")
        static let tensorShape = HTTPField.Name("X-Tensor-Shape")
        static let traceParent = HTTPField.Name("traceparent")
        static let wantReprDigest = HTTPField.Name("Want-Repr-Digest")
    }

    /// `nil` for what is not a name.
    subscript(name: HTTPField.Name?) -> String? {
        name.flatMap { self[$0] }
    }

    /// The value of a field that a client has sent, several of one name joined by commas.
    func text(_ name: HTTPField.Name?) -> Text? {
        self[name].map { Text($0) }
    }

    /// Adds a field that is not there yet, which setting it would look for; does nothing for what is not a name.
    mutating func append(_ name: HTTPField.Name?, _ value: String) {
        if let name { append(HTTPField(name: name, value: value)) }
    }
}
