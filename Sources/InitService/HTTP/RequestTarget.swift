import WeightInit

/// A request target, RFC 9112 section 3.2: the path, decoded, and the query's parameters in their order.
struct RequestTarget: Sendable, Equatable {
    struct Parameter: Sendable, Equatable {
        var name: String
        var value: String
    }

    /// Decoded segment by segment; `nil` where a segment holds an encoded `/`, which no route has.
    var path: String?
    var query: [Parameter]

    /// What asks about the server as a whole, with `OPTIONS` only.
    var isAsterisk: Bool { path == "*" }

    /// Reads origin form, absolute form and `*`.
    ///
    /// In the query `+` is a space, as forms and most clients' query builders write it; a plus sign is `%2B`. A name
    /// without `=` has an empty value. Empty pieces (`a=1&&b=2`) are no parameters.
    ///
    /// - Throws: A problem for other forms, fragments, broken escapes, NUL, and bytes that are not UTF-8.
    init(_ raw: String) throws(Problem) {
        guard !raw.utf8.contains(UInt8(ascii: "#")) else {
            throw Problem(.malformed, "the request target has a fragment; write # as %23")
        }
        guard raw.utf8.allSatisfy({ (0x21..<0x7f).contains($0) }) else {
            throw Problem(.malformed, "the request target has a character that must be percent-encoded")
        }
        guard raw != "*" else {
            path = "*"
            query = []
            return
        }
        let (rawPath, rawQuery) = RequestTarget.originForm(of: raw[...]).halves(at: UInt8(ascii: "?"))
        guard rawPath.utf8.first == UInt8(ascii: "/") else {
            throw Problem(.malformed, "the request target is neither a path nor an http URL")
        }
        path = try RequestTarget.path(rawPath)
        query = try rawQuery.map { query throws(Problem) in try RequestTarget.query(query) } ?? []
    }

    /// Takes scheme and authority off an absolute form.
    private static func originForm(of raw: Substring) -> Substring {
        guard raw.utf8.first != UInt8(ascii: "/") else { return raw }
        for scheme in ["http://", "https://"] where raw.prefix(scheme.count).lowercased() == scheme {
            let afterScheme = raw.dropFirst(scheme.count)
            guard let end = afterScheme.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
            let rest = afterScheme[end...]
            return rest.first == "?" ? "/" + rest : rest
        }
        return raw
    }

    private static func path(_ raw: Substring) throws(Problem) -> String? {
        guard raw.utf8.contains(UInt8(ascii: "%")) else { return String(raw) }
        var decoded = ""
        for segment in raw.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst() {
            let text: String
            do {
                text = try PercentEncoding.decode(Substring(segment), plusIsSpace: false)
            } catch {
                throw Problem(.malformed, "the path is not well-formed: \(error.detail)")
            }
            guard !text.utf8.contains(UInt8(ascii: "/")) else { return nil }
            decoded += "/" + text
        }
        return decoded
    }

    private static func query(_ raw: Substring) throws(Problem) -> [Parameter] {
        var parameters: [Parameter] = []
        for piece in raw.utf8.split(separator: UInt8(ascii: "&")).map(Substring.init) {
            let (name, value) = piece.halves(at: UInt8(ascii: "="))
            do throws(PercentEncoding.Fault) {
                parameters.append(
                    Parameter(
                        name: try PercentEncoding.decode(name, plusIsSpace: true),
                        value: try PercentEncoding.decode(value ?? "", plusIsSpace: true)
                    )
                )
            } catch {
                throw Problem(
                    .malformed,
                    "the query is not well-formed: \(error.detail), in \(String(piece).quotedForMessage)"
                )
            }
        }
        return parameters
    }
}

extension Substring {
    /// What stands before an ASCII character's first occurrence, and behind it; `nil` where it does not occur.
    ///
    /// By bytes: looking for the borders of characters costs more than all else in a small request.
    fileprivate func halves(at separator: UInt8) -> (Substring, Substring?) {
        guard let index = utf8.firstIndex(of: separator) else { return (self, nil) }
        return (self[..<index], self[utf8.index(after: index)...])
    }
}
