internal import ByteText
import HTTPExchange
import HTTPTypes

extension HeaderFields {
    /// Names of headers that the library does not define.
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

    /// The value of a header; `nil` if there is none, or if its name is not valid.
    subscript(name: HTTPField.Name?) -> String? {
        name.flatMap { self[$0] }
    }

    /// The value of a header that a client has sent; several with one name are joined by commas.
    func text(_ name: HTTPField.Name?) -> Text? {
        self[name].map { Text($0) }
    }

    /// Adds a header that is known to be missing; setting it would search for it first. Does nothing if the name is not
    /// valid.
    mutating func append(_ name: HTTPField.Name?, _ value: String) {
        if let name { append(HTTPField(name: name, value: value)) }
    }
}
