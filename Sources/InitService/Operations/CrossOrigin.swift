public import ByteText
import HTTPExchange
import HTTPTypes

/// Origins whose pages may read the responses, by the Fetch standard's CORS protocol.
public struct CrossOrigin: Sendable {
    private enum Allowed {
        case any
        case these(Set<Text>)
    }

    /// Headers that a page may read, besides those that it may always read.
    private static let exposed =
        "ETag, Content-Disposition, Content-Range, Content-Location, Accept-Ranges, Repr-Digest, Retry-After, Server-Timing, "
        + "traceparent, X-Error-Code, X-Error-Message, X-Repo-Commit, X-Request-Id, X-Tensor-Shape, X-Tensor-Dtype"
    /// Headers that a page may send.
    private static let accepted =
        "Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, traceparent, Want-Repr-Digest, "
        + "X-Request-Id"

    private let allowed: Allowed

    /// - Parameter list: Origins as browsers write them (`https://example.org:8443`), separated by commas, or `*`.
    /// - Returns: `nil` if the text is not such a list.
    public init?(list: Text) {
        let origins = FieldList.elements(of: list)
        guard origins != ["*"] else {
            allowed = .any
            return
        }
        guard !origins.isEmpty, origins.allSatisfy(Self.isOrigin) else { return nil }
        allowed = .these(Set(origins))
    }

    /// `true` for scheme, host and port, in lower case, without a path.
    private static func isOrigin(_ text: Text) -> Bool {
        guard let authority = text.removing(prefix: "http://") ?? text.removing(prefix: "https://") else {
            return false
        }
        return !authority.isEmpty
            && authority.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
                default: "-.:[]".utf8.contains(byte)
                }
            }
    }

    /// Adds the CORS headers that a browser needs to a response.
    ///
    /// - Parameter methods: Methods that the path takes, if the response is to `OPTIONS`.
    func add(to fields: inout HeaderFields, for request: RequestHead, methods: String?) {
        switch allowed {
        case .any:
            fields[.accessControlAllowOrigin] = "*"
        case .these(let origins):
            fields[.vary] = (fields[.vary].map { $0 + ", " } ?? "") + "Origin"
            guard let origin = request.fields.text(.origin), origins.contains(origin) else { return }
            fields[.accessControlAllowOrigin] = origin.description
        }
        if let methods {
            fields[.accessControlAllowMethods] = methods
            fields[.accessControlAllowHeaders] = Self.accepted
            fields[.accessControlMaxAge] = "86400"
        } else {
            fields[.accessControlExposeHeaders] = Self.exposed
        }
    }
}
