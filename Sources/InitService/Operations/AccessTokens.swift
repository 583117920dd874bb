internal import ByteText
import SHA2
import HTTPExchange
import HTTPTypes
import InitAPI
import Synchronization

/// The accepted bearer tokens (RFC 6750), stored as digests.
public final class AccessTokens: Sendable {
    /// A fault in a list of tokens. The description contains no token.
    public struct Fault: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    private let digests: Mutex<[SHA256.Digest]>

    /// - Parameter list: One token a line; empty lines and lines that begin with `#` are skipped.
    /// - Throws: `Fault` if there is no token, or if a line cannot be a token.
    public init(list: [UInt8]) throws(Fault) {
        digests = Mutex(try Self.digests(of: list))
    }

    /// Replaces the accepted tokens by these.
    ///
    /// - Throws: `Fault`; the accepted tokens then stay as they are.
    public func replace(by list: [UInt8]) throws(Fault) {
        let new = try Self.digests(of: list)
        digests.withLock { $0 = new }
    }

    public var count: Int { digests.withLock { $0.count } }

    /// Checks that a request has one of the tokens.
    ///
    /// - Throws: 401.
    func check(_ fields: HeaderFields) throws(Problem) {
        guard let credentials = fields.text(.authorization) else {
            throw .unauthorized("this service requires a token: Authorization: Bearer …", challenge: "")
        }
        let parts = credentials.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        // As RFC 6750 says, the challenge for another scheme has no error code. The message does not quote the header,
        // which may be a token without a scheme.
        guard parts.count == 2, parts[0].equalsIgnoringASCIICase("bearer") else {
            throw .unauthorized(
                "the Authorization header has no bearer token; it must be Authorization: Bearer …",
                challenge: ""
            )
        }
        guard accepts(parts[1].trimmed) else {
            throw .unauthorized("this service does not accept the token", challenge: #", error="invalid_token""#)
        }
    }

    /// `true` for an accepted token. The time does not depend on which token it is, nor on whether it is accepted.
    private func accepts(_ token: Text) -> Bool {
        let digest = SHA256.hash(data: Array(token.utf8))
        let known = digests.withLock { $0 }
        // Digests compare in constant time, and all are compared.
        return known.reduce(false) { $1 == digest || $0 }
    }

    private static func digests(of list: [UInt8]) throws(Fault) -> [SHA256.Digest] {
        var digests: [SHA256.Digest] = []
        for (index, line) in list.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let token = line.trimmed
            guard let first = token.first, first != UInt8(ascii: "#") else { continue }
            guard token.allSatisfy(\.isTokenByte) else {
                throw Fault(description: "line \(index + 1) has characters that a token cannot have")
            }
            digests.append(SHA256.hash(data: Array(token)))
        }
        guard !digests.isEmpty else { throw Fault(description: "the list has no token") }
        return digests
    }
}

extension Problem {
    fileprivate static func unauthorized(_ detail: String, challenge: String) -> Problem {
        Problem(
            .unauthorized,
            detail,
            faults: [Fault(place: .header("Authorization"), detail: detail)],
            fields: [.wwwAuthenticate: #"Bearer realm="weight-init""# + challenge]
        )
    }
}

extension ArraySlice<UInt8> {
    /// Without spaces, tabs and carriage returns at both ends.
    fileprivate var trimmed: ArraySlice<UInt8> {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        var text = drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}

extension UInt8 {
    /// `true` for the characters of `b64token` in RFC 6750, in any order.
    fileprivate var isTokenByte: Bool { isLetterOrDigit || "-._~+/=".utf8.contains(self) }
}
