import InitAPI

/// Durations, counted by the bucket they fall into.
final class DurationHistogram: Sendable {
    /// Upper bounds in seconds, as they are written. They reach from a gain, which takes some 20 µs, to a download that
    /// takes minutes.
    static let bounds = [
        "0.0001", "0.0005", "0.001", "0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1.0", "5.0", "10.0", "60.0",
    ]

    private static let nanoseconds = bounds.map { Int(1e9 * (Double($0) ?? 0)) }

    /// One counter for each bound, and one for durations above the last bound.
    private let buckets = (0...bounds.count).map { _ in Counter() }
    private let sum = Counter()

    func record(nanoseconds: Int) {
        let bucket = Self.nanoseconds.firstIndex { nanoseconds <= $0 } ?? Self.nanoseconds.count
        buckets[bucket].add()
        sum.add(nanoseconds)
    }

    /// Number of durations up to each bound and in all, and their sum in seconds.
    var cumulative: (counts: [Int], sum: Double) {
        var count = 0
        let counts = buckets.map { bucket in
            count += bucket.value
            return count
        }
        return (counts, Double(sum.value) / 1e9)
    }
}
