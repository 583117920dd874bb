internal import ByteText
import InitAPI

/// An entity tag, RFC 9110 section 8.8.3.
struct EntityTag: Sendable, Equatable {
    var opaque: Text
    var isWeak = false

    /// The strong tag of a representation with this identity.
    init(of identity: Identity) {
        opaque = identity.digest
    }

    /// `"…"` or `W/"…"`; `nil` for anything else.
    init?(_ text: Text) {
        isWeak = text.hasPrefix("W/")
        let quoted = text.removing(prefix: "W/") ?? text
        guard let opaque = quoted.removing(prefix: "\"")?.removing(suffix: "\""),
            !opaque.contains("\"" as Unicode.Scalar)
        else { return nil }
        self.opaque = opaque
    }

    var fieldValue: String { (isWeak ? "W/" : "") + "\"\(opaque)\"" }

    func matchesWeakly(_ other: EntityTag) -> Bool { opaque == other.opaque }

    func matchesStrongly(_ other: EntityTag) -> Bool { !isWeak && !other.isWeak && opaque == other.opaque }

    /// `true` if a list of tags, or `*`, as in `If-None-Match`, names this one.
    func isListed(in fieldValue: Text, by matches: (EntityTag) -> Bool) -> Bool {
        fieldValue.trimmed == "*"
            || FieldList.elements(of: fieldValue).contains { EntityTag($0).map(matches) ?? false }
    }
}
