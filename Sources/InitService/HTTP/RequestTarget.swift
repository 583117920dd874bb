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
        // Bytes, because looking for the borders of characters costs more than all else in a small request.
        let bytes = Array(raw.utf8)
        guard !bytes.contains(UInt8(ascii: "#")) else {
            throw Problem(.malformed, "the request target has a fragment; write # as %23")
        }
        guard bytes.allSatisfy({ (0x21..<0x7f).contains($0) }) else {
            throw Problem(.malformed, "the request target has a character that must be percent-encoded")
        }
        guard raw != "*" else {
            path = "*"
            query = []
            return
        }
        let (rawPath, rawQuery) = RequestTarget.originForm(of: bytes[...]).halves(at: UInt8(ascii: "?"))
        guard rawPath.first == UInt8(ascii: "/") else {
            throw Problem(.malformed, "the request target is neither a path nor an http URL")
        }
        path = try RequestTarget.path(rawPath)
        query = try rawQuery.map { query throws(Problem) in try RequestTarget.query(query) } ?? []
    }

    /// Takes scheme and authority off an absolute form.
    private static func originForm(of raw: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard raw.first != UInt8(ascii: "/") else { return raw }
        for scheme in ["http://", "https://"] {
            guard String(decoding: raw.prefix(scheme.utf8.count), as: UTF8.self).lowercased() == scheme else {
                continue
            }
            let afterScheme = raw.dropFirst(scheme.utf8.count)
            let rest = afterScheme.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            return rest.first == UInt8(ascii: "/") ? rest : [UInt8(ascii: "/")] + rest
        }
        return raw
    }

    private static func path(_ raw: ArraySlice<UInt8>) throws(Problem) -> String? {
        guard raw.contains(UInt8(ascii: "%")) else { return String(decoding: raw, as: UTF8.self) }
        var decoded = ""
        for segment in raw.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst() {
            let text: String
            do {
                text = try PercentEncoding.decode(segment, plusIsSpace: false)
            } catch {
                throw Problem(.malformed, "the path is not well-formed: \(error.detail)")
            }
            guard !text.utf8.contains(UInt8(ascii: "/")) else { return nil }
            decoded += "/" + text
        }
        return decoded
    }

    private static func query(_ raw: ArraySlice<UInt8>) throws(Problem) -> [Parameter] {
        var parameters: [Parameter] = []
        for piece in raw.split(separator: UInt8(ascii: "&")) {
            let (name, value) = piece.halves(at: UInt8(ascii: "="))
            do throws(PercentEncoding.Fault) {
                parameters.append(
                    Parameter(
                        name: try PercentEncoding.decode(name, plusIsSpace: true),
                        value: try PercentEncoding.decode(value ?? [], plusIsSpace: true)
                    )
                )
            } catch {
                let given = String(decoding: piece, as: UTF8.self).quotedForMessage
                throw Problem(.malformed, "the query is not well-formed: \(error.detail), in \(given)")
            }
        }
        return parameters
    }
}

extension ArraySlice<UInt8> {
    /// What stands before a byte's first occurrence, and behind it; `nil` where it does not occur.
    fileprivate func halves(at separator: UInt8) -> (ArraySlice, ArraySlice?) {
        guard let index = firstIndex(of: separator) else { return (self, nil) }
        return (self[..<index], self[(index + 1)...])
    }
}
