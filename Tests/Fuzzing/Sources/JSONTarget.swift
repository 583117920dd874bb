@testable import InitAPI
@testable import InitService
@testable import WeightInit

/// A request's body: the JSON, and the members in it.
enum JSONTarget {
    static func run(_ bytes: [UInt8]) {
        guard let value = parsed(bytes) else { return }
        check(parsed(value.encoded) == value, "JSON that is written again means the same")
        guard case .object(let members) = value, let canonical = canonical(members) else { return }
        guard case .object(let members)? = parsed(canonical.encoded), let again = self.canonical(members) else {
            check(false, "a canonical request is understood: \(canonical.encodedText)")
            return
        }
        check(again.encoded == canonical.encoded, "\(canonical.encodedText) stays what it is, not \(again.encodedText)")
    }

    private static func parsed(_ bytes: [UInt8]) -> JSONValue? {
        do {
            return try JSONParser.parse(bytes)
        } catch {
            check([.invalid, .tooLarge].contains(error.kind), "\(error)")
            return nil
        }
    }

    private static func canonical(_ members: [JSONValue.Member]) -> JSONValue? {
        do {
            return try InitMembers(RequestMembers(members)).canonical
        } catch {
            check([.invalid, .tooLarge].contains(error.kind), "\(error)")
            return nil
        }
    }
}
