public import ByteText
public import Settings

/// The reason why a request cannot be answered.
public struct InitError: Error, Sendable, Equatable {
    public enum Kind: Sendable {
        /// Not understood: an unknown name, a missing member, a wrong type, an unknown value of an enumeration.
        case invalid
        /// Understood, but PyTorch refuses it, or it is impossible.
        case refused
        /// Over a limit of this service, or too large to be counted.
        case tooLarge
        /// A valid request, but its memory is not available at present.
        case outOfMemory
        /// A fault of the service itself.
        case failed
        /// Well-formed, but the answer is not available in a format that the client accepts.
        case notOffered
        /// Nobody waits for the plan any more.
        case cancelled
    }

    public var kind: Kind
    /// Names and indices from the request's root to the member at fault; empty if the request as a whole is at fault.
    public var path: [Text]
    public var detail: String
    /// Accepted values, if there is a list of them; the value nearest to the given one comes first.
    public var allowed: [Text]
    /// Largest value accepted at the path if the rest of the request stays as it is; `nil` if there is none.
    public var maximum: Int?
    /// Name of the exceeded limit: `max-layers`. The code that prints the error adds how to set the limit.
    public var limit: String?

    public init(_ kind: Kind, _ path: [Text] = [], _ detail: String, allowed: [Text] = []) {
        self.kind = kind
        self.path = path
        self.detail = detail
        self.allowed = allowed
    }

    /// A request over a limit.
    ///
    /// - Parameter limit: Property of the limit in its table of settings.
    public init<Values: Configurable>(
        over limit: KeyPath<Values, Int>,
        _ path: [Text],
        _ detail: String,
        kind: Kind = .tooLarge,
        maximum: Int? = nil
    ) {
        self.init(kind, path, detail)
        self.maximum = maximum
        self.limit = Values.settingName(at: limit)
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

    /// Never shown, because the request has been dropped.
    package static let cancelled = InitError(.cancelled, [], "nobody waits for this any more")

    public static func outOfMemory(_ purpose: String, byteCount: Int) -> InitError {
        InitError(.outOfMemory, [], "\(byteCount) bytes of memory for \(purpose) are not available now")
    }

    /// The error that names an unknown word and offers the known ones, the nearest first.
    ///
    /// - Parameter aliases: Other spellings of the known words. They are suggested if likely, but not listed in
    ///   `allowed`.
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
    /// - Parameter likely: Words that the client may have meant.
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
    /// - Parameter cause: Text that is appended to the detail.
    func moved(to path: [Text], _ cause: String = "") -> InitError {
        var error = self
        error.path = path
        error.detail += cause
        return error
    }

    /// The same error with these names and indices in front of its path.
    public func under(_ components: Text...) -> InitError {
        under(components)
    }

    /// The same error with another path in front of its path.
    public func under(_ components: [Text]) -> InitError {
        var error = self
        error.path = components + path
        return error
    }

    /// The same error of a layer that passes its arguments on under other names: the path gets the layer's own name.
    func renamed(_ names: [Text: Text]) -> InitError {
        var error = self
        if let first = path.first, let name = names[first] { error.path[0] = name }
        return error
    }
}
