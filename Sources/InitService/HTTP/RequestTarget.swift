internal import ByteText
import InitAPI
import WeightInit

/// A request target, RFC 9112 section 3.2: the path, decoded, and the query's parameters in their order.
struct RequestTarget: Sendable {
    /// A name and its value, decoded.
    typealias Parameter = (name: Text, text: Text)

    /// The path, decoded segment by segment; `nil` if a segment holds an encoded `/`, which no route has.
    var path: Text?
    var query: [Parameter]
    /// `nil` if no segment is encoded.
    private let decodedSegments: [Text]?

    /// The path's segments, decoded; an encoded `/` is an ordinary character of its segment.
    var segments: [Text] { decodedSegments ?? path.map { Array($0.split(separator: "/").dropFirst()) } ?? [] }

    /// `true` for `*`, which stands for the server as a whole, with `OPTIONS` only.
    var isAsterisk: Bool { path == "*" }

    /// Reads origin form, absolute form and `*`.
    ///
    /// In the query `+` is a space, as forms and most clients' query builders write it; a plus sign is `%2B`. A name
    /// without `=` has an empty value. Empty pieces (`a=1&&b=2`) are no parameters.
    ///
    /// - Throws: A problem for other forms, fragments, broken escapes, NUL, and bytes that are not UTF-8.
    init(_ raw: String) throws(Problem) {
        // Bytes, because finding the boundaries of characters costs more than everything else in a small request.
        let bytes = Text(raw).bytes
        var hasFragment = false
        var isGraphic = true
        for byte in bytes {
            hasFragment = hasFragment || byte == UInt8(ascii: "#")
            isGraphic = isGraphic && 0x21..<0x7f ~= byte
        }
        guard !hasFragment else {
            throw Problem(.malformed, "the request target has a fragment; write # as %23")
        }
        guard isGraphic else {
            throw Problem(.malformed, "the request target has a character that must be percent-encoded")
        }
        guard bytes != [UInt8(ascii: "*")] else {
            path = "*"
            query = []
            decodedSegments = nil
            return
        }
        let (rawPath, rawQuery) = RequestTarget.originForm(of: bytes[...]).halves(at: UInt8(ascii: "?"))
        guard rawPath.first == UInt8(ascii: "/") else {
            throw Problem(.malformed, "the request target is neither a path nor an http URL")
        }
        decodedSegments = try RequestTarget.decodedSegments(rawPath)
        path = RequestTarget.path(rawPath, decodedSegments)
        query = try rawQuery.map { query throws(Problem) in try RequestTarget.query(query) } ?? []
    }

    /// Removes scheme and authority from an absolute form.
    private static func originForm(of raw: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard raw.first != UInt8(ascii: "/") else { return raw }
        for scheme: Text in ["http://", "https://"] {
            guard Text(decoding: raw.prefix(scheme.byteCount)).equalsIgnoringASCIICase(scheme) else { continue }
            let afterScheme = raw.dropFirst(scheme.byteCount)
            let rest = afterScheme.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            return rest.first == UInt8(ascii: "/") ? rest : [UInt8(ascii: "/")] + rest
        }
        return raw
    }

    private static func decodedSegments(_ raw: ArraySlice<UInt8>) throws(Problem) -> [Text]? {
        guard raw.contains(UInt8(ascii: "%")) else { return nil }
        var segments: [Text] = []
        for segment in raw.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst() {
            do {
                segments.append(try PercentEncoding.decode(segment.span, plusIsSpace: false))
            } catch {
                throw Problem(.malformed, "the path is not well-formed: \(error.detail)")
            }
        }
        return segments
    }

    private static func path(_ raw: ArraySlice<UInt8>, _ decoded: [Text]?) -> Text? {
        guard let segments = decoded else { return Text(decoding: raw) }
        guard !segments.contains(where: { $0.contains("/" as Unicode.Scalar) }) else { return nil }
        return segments.reduce("") { $0 + "/" + $1 }
    }

    private static func query(_ raw: ArraySlice<UInt8>) throws(Problem) -> [Parameter] {
        var parameters: [Parameter] = []
        parameters.reserveCapacity(commonCount)
        var start = raw.startIndex
        while start < raw.endIndex {
            let end = raw[start...].firstIndex(of: UInt8(ascii: "&")) ?? raw.endIndex
            if start < end { parameters.append(try parameter(raw[start..<end])) }
            start = end + 1
        }
        return parameters
    }

    /// Parameters for which there is room from the start.
    private static let commonCount = 8

    private static func parameter(_ piece: ArraySlice<UInt8>) throws(Problem) -> Parameter {
        let (name, value) = piece.halves(at: UInt8(ascii: "="))
        var decodedName: Text?
        do throws(PercentEncoding.Fault) {
            let name = try PercentEncoding.decode(name.span, plusIsSpace: true)
            decodedName = name
            return (
                name: name,
                text: try value.map { value throws(PercentEncoding.Fault) in
                    try PercentEncoding.decode(value.span, plusIsSpace: true)
                } ?? ""
            )
        } catch {
            let given = Text(decoding: piece).quotedForMessage
            let detail = "the query is not well-formed: \(error.detail), in \(given)"
            let faults = decodedName.map { [Problem.Fault(place: .parameter($0), detail: detail)] } ?? []
            throw Problem(.malformed, detail, faults: faults)
        }
    }
}

extension ArraySlice<UInt8> {
    /// Parts before and after a byte's first occurrence; `nil` if there is none.
    fileprivate func halves(at separator: UInt8) -> (ArraySlice, ArraySlice?) {
        guard let index = firstIndex(of: separator) else { return (self, nil) }
        return (self[..<index], self[(index + 1)...])
    }
}
