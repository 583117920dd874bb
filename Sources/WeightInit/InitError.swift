/// Why a request cannot become a plan.
public struct InitError: Error, Sendable, Equatable {
    public enum Kind: Sendable {
        /// Not understood: an unknown name, a missing member, a wrong type, an unknown value of an enumeration.
        case invalid
        /// Understood, but PyTorch refuses it, or it cannot be.
        case refused
        /// Over a limit of this service, or past what can be counted.
        case tooLarge
        /// Nothing is wrong with it: something that the service is made of is missing.
        case failed
    }

    public var kind: Kind
    /// Names and indices from the request's root to the member at fault; empty where it is the request as a whole.
    public var path: [String]
    public var detail: String
    /// What would have been accepted, where that is a list; the nearest to what was given comes first.
    public var allowed: [String]

    public init(_ kind: Kind, _ path: [String] = [], _ detail: String, allowed: [String] = []) {
        self.kind = kind
        self.path = path
        self.detail = detail
        self.allowed = allowed
    }

    public static func invalid(_ parameter: String, _ detail: String, allowed: [String] = []) -> InitError {
        InitError(.invalid, [parameter], detail, allowed: allowed)
    }

    public static func refused(_ parameter: String, _ detail: String) -> InitError {
        InitError(.refused, [parameter], detail)
    }

    public static func tooLarge(_ parameter: String, _ detail: String) -> InitError {
        InitError(.tooLarge, [parameter], detail)
    }

    /// The error that names an unknown word and offers the known ones, the nearest first.
    public static func unknown(_ what: String, _ given: String, in path: [String], known: [String]) -> InitError {
        let ordered = known.orderedByDistance(to: given)
        let hint = ordered.first.map { nearest in
            given.isPlausiblyMistyped(nearest) ? "; did you mean \(nearest)?" : ""
        }
        return InitError(
            .invalid,
            path,
            "unknown \(what) \(given.quotedForMessage)\(hint ?? "")",
            allowed: ordered
        )
    }

    /// The same error, seen from where these names and indices start.
    public func under(_ components: String...) -> InitError {
        under(components)
    }

    /// The same error, seen from where a path starts.
    public func under(_ components: [String]) -> InitError {
        var error = self
        error.path = components + path
        return error
    }

    /// The same error where a layer passes its arguments on under other names.
    func renamed(_ names: [String: String]) -> InitError {
        var error = self
        if let first = path.first, let name = names[first] { error.path[0] = name }
        return error
    }
}
