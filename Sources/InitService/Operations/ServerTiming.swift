import HTTPExchange
import HTTPTypes

/// Durations of a request's parts before its first byte, for `Server-Timing`.
struct ServerTiming: Sendable {
    private static let field = HTTPField.Name("Server-Timing")

    private let clock = ContinuousClock()
    private var parts: [(name: String, duration: Duration)] = []
    private var begun: ContinuousClock.Instant

    init() {
        begun = clock.now
    }

    /// Ends an attempt to answer: the first one is the plan, the others are the work before the first byte.
    mutating func endAttempt() {
        end(parts.isEmpty ? "plan" : "make")
    }

    /// Ends the wait for a thread.
    mutating func endWait() {
        end("queue")
    }

    /// Ends the part that began at the end of the previous one. Parts of the same name are added up.
    private mutating func end(_ name: String) {
        let now = clock.now
        let duration = now - begun
        begun = now
        if let index = parts.firstIndex(where: { $0.name == name }) {
            parts[index].duration += duration
        } else {
            parts.append((name, duration))
        }
    }

    /// Adds the field, in milliseconds.
    func add(to fields: inout HeaderFields) {
        fields.append(
            Self.field,
            parts.map { "\($0.name);dur=\(Self.milliseconds($0.duration))" }.joined(separator: ", ")
        )
    }

    /// Milliseconds with three decimals.
    private static func milliseconds(_ duration: Duration) -> String {
        let microseconds = duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}
