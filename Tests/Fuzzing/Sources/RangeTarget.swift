import ByteText
@testable import InitAPI
@testable import InitService

/// The fields that choose a range or the format of a body: eight bytes for the length of the body, then one line each
/// for `Range`, entity tags and `Accept`.
enum RangeTarget {
    static func run(_ bytes: [UInt8]) {
        let length = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        let lines = bytes.dropFirst(8).split(separator: 10, omittingEmptySubsequences: false)
            .map { Text(decoding: $0) }
        range(lines.first ?? "", byteCount: Int(length >> 1))
        if lines.count > 1 { tags(lines[1]) }
        if lines.count > 2 { accept(lines[2]) }
    }

    private static func range(_ field: Text, byteCount: Int) {
        let range = ByteRangeRequest(field, byteCount: byteCount)
        switch range {
        case .whole:
            break
        case .part(let part):
            check(!part.isEmpty && part.lowerBound >= 0 && part.upperBound <= byteCount, "\(part) lies in \(byteCount)")
            let named = ByteRangeRequest("bytes=\(part.lowerBound)-\(part.upperBound - 1)", byteCount: byteCount)
            check(named == range, "\(part) is what its Content-Range says")
        case .unsatisfiable:
            check(byteCount > 0, "of nothing, no part is asked for")
        }
    }

    private static func tags(_ field: Text) {
        let tag = EntityTag(of: Identity(of: [] as [UInt8]))
        let isListed = tag.isListed(in: field, by: tag.matchesWeakly)
        check(!tag.isListed(in: field, by: tag.matchesStrongly) || isListed, "what matches strongly matches weakly")
        check(
            tag.isListed(in: field + ", " + Text(tag.fieldValue), by: tag.matchesWeakly)
                || field.utf8.contains(UInt8(ascii: "\"")),
            "a tag is found"
        )
        guard let given = EntityTag(field.trimmed) else { return }
        check(EntityTag(Text(given.fieldValue)) == given, "a tag is written as it is read")
    }

    private static func accept(_ field: Text) {
        let accept = Accept(field)
        let offers = ["application/json", "application/x-npy", "application/octet-stream"]
        let qualities = offers.map(accept.quality)
        check(qualities.allSatisfy { (0...1).contains($0) }, "\(qualities) lie between 0 and 1")
        let preferred = accept.preferred(among: offers) { $0 }
        check((preferred == nil) == (qualities.max() == 0), "something is chosen where something is welcome")
        check(preferred.map(accept.quality) ?? 0 == qualities.max(), "the most welcome is chosen")
    }
}
