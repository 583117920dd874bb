import HTTPTypes

extension HTTPFields {
    /// Fields that the library has no names for.
    enum Further {
        static let requestID = HTTPField.Name("X-Request-Id")
        static let tensorDtype = HTTPField.Name("X-Tensor-Dtype")
        static let tensorShape = HTTPField.Name("X-Tensor-Shape")
        static let traceParent = HTTPField.Name("traceparent")
    }

    /// `nil` for what is not a name.
    subscript(name: HTTPField.Name?) -> String? {
        name.flatMap { self[$0] }
    }

    /// Adds a field that is not there yet, which setting it would look for; does nothing for what is not a name.
    mutating func append(_ name: HTTPField.Name?, _ value: String) {
        if let name { append(HTTPField(name: name, value: value)) }
    }
}
