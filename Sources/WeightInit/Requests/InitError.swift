public import ByteText
public import Settings

/// Why a request cannot become a plan.
public struct InitError: Error, Sendable, Equatable {
    public enum Kind: Sendable {
        /// Not understood: an unknown name, a missing member, a wrong type, an unknown value of an enumeration.
        case invalid
        /// Understood, but PyTorch refuses it, or it cannot be.
        case refused
        /// Over a limit of this service, or past what can be counted.
        case tooLarge
        /// Nothing is wrong with it, but the memory for it cannot be had now.
        case outOfMemory
        /// A fault of the service itself.
        case failed
        /// Well-formed, but the answer has no form that was asked for.
        case notOffered
        /// Nobody waits for the plan any more.
        case cancelled
    }

    public var kind: Kind
    /// Names and indices from the request's root to the member at fault; empty where it is the request as a whole.
    public var path: [Text]
    public var detail: String
    /// Accepted values, if there is a list of them; the nearest to what was given comes first.
    public var allowed: [Text]
    /// Name of the exceeded limit: `max-layers`. Whoever prints the error says how it is set.
    public var limit: String?

    public init(
        _ kind: Kind,
        _ path: [Text] = [],
        _ detail: String,
        allowed: [Text] = [],
        limit: String? = nil
    ) {
        self.kind = kind
        self.path = path
        self.detail = detail
        self.allowed = allowed
        self.limit = limit
    }

    /// A request over a limit.
    ///
    /// - Parameter limit: Place of the limit in its table.
    public init<Values: Configurable>(
        over limit: KeyPath<Values, Int>,
        _ path: [Text],
        _ detail: String,
        kind: Kind = .tooLarge
    ) {
        self.init(kind, path, detail, limit: Values.settingName(at: limit))
    }

    public static func invalid(_ parameter: Text, _ detail: String, allowed: [Text] = []) -> InitError {
        InitError(.invalid, [parameter], detail, allowed: allowed)
    }

    public static func refused(_ parameter: Text, _ detail: String) -> InitError {
        InitError(.refused, [parameter], detail)
    }

    public static func tooLarge(_ parameter: Text, _ detail: String) -> InitError {
        InitError(.tooLarge, [parameter], detail)
    }

    /// Seen by nobody: what was asked for is dropped.
    package static let cancelled = InitError(.cancelled, [], "nobody waits for this any more")

    public static func outOfMemory(_ purpose: String, byteCount: Int) -> InitError {
        InitError(.outOfMemory, [], "\(byteCount) bytes of memory for \(purpose) cannot be had now")
    }

    /// The error that names an unknown word and offers the known ones, the nearest first.
    ///
    /// - Parameter aliases: Other spellings of the known words. They may be what was meant, and are not offered otherwise.
    public static func unknown(
        _ what: String,
        _ given: Text,
        in path: [Text],
        known: [Text],
        aliases: [Text] = []
    ) -> InitError {
        let suggestion = Suggestion(for: given, among: known)
        let likely = aliases.isEmpty ? suggestion.likely : Suggestion(for: given, among: known + aliases).likely
        return unknown(what, given, in: path, likely: likely, allowed: suggestion.ordered)
    }

    /// The error that names an unknown word.
    ///
    /// - Parameter likely: Words that may be meant.
    package static func unknown(
        _ what: String,
        _ given: Text,
        in path: [Text],
        likely: [Text],
        allowed: [Text]
    ) -> InitError {
        let detail = "unknown \(what) \(given.quotedForMessage)\(Suggestion.question(likely))"
        return InitError(.invalid, path, detail, allowed: allowed)
    }

    /// The error about patterns that match nothing together. It offers names near the first pattern that matches none of them.
    ///
    /// - Parameter patterns: Patterns, each with the names that it is for. Few of the names are looked at.
    static func unmatched(_ what: String, in path: [Text], _ patterns: [(pattern: Glob, names: [Text])]) -> InitError {
        var error = InitError(.invalid, path, "matches no \(what)")
        for (pattern, names) in patterns {
            let near = names.nearest(to: pattern.pattern)
            guard !near.contains(where: pattern.matches) else { continue }
            let suggestion = Suggestion(for: pattern.pattern, among: near)
            error.detail += Suggestion.question(suggestion.likely)
            error.allowed = suggestion.ordered
            break
        }
        return error
    }

    /// The same error about another member.
    ///
    /// - Parameter cause: What stands at the end of the detail.
    func moved(to path: [Text], _ cause: String = "") -> InitError {
        var error = self
        error.path = path
        error.detail += cause
        return error
    }

    /// The same error, seen from where these names and indices start.
    public func under(_ components: Text...) -> InitError {
        under(components)
    }

    /// The same error, seen from where a path starts.
    public func under(_ components: [Text]) -> InitError {
        var error = self
        error.path = components + path
        return error
    }

    /// The same error where a layer passes its arguments on under other names.
    func renamed(_ names: [Text: Text]) -> InitError {
        var error = self
        if let first = path.first, let name = names[first] { error.path[0] = name }
        return error
    }
}
