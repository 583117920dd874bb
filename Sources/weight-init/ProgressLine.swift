import Glibc

/// A progress bar with percentage, speed and time left, if standard error is a terminal that takes escape sequences.
struct ProgressLine {
    private let name: String
    /// Bytes in total; `nil` if unknown.
    private let total: Int?
    /// Bytes written by an earlier run.
    private var first = 0
    private var begun = ContinuousClock.now
    private var shown: ContinuousClock.Instant?

    /// Time between two updates.
    private static let interval = Duration.milliseconds(100)

    /// - Returns: `nil` if standard error is no such terminal.
    init?(_ name: String, total: Int?) {
        guard Screen.errors.takesEscapes else { return nil }
        self.name = name
        self.total = total
    }

    /// Shows that work precedes the first byte.
    mutating func prepare() {
        shown = ContinuousClock.now
        show("\(name): preparing")
    }

    /// Starts the clock.
    mutating func begin(from count: Int) {
        first = count
        begun = ContinuousClock.now
    }

    /// Updates the line, at most once in an interval.
    mutating func advance(to count: Int) {
        let now = ContinuousClock.now
        guard now - (shown ?? begun) >= ProgressLine.interval else { return }
        shown = now
        let rate = rate(count, now)
        var words = [name]
        var end = [ByteText.of(Double(count))]
        if let total {
            let share = total > 0 ? Double(count) / Double(total) : 1
            words.append("\(Int(share * 100)) %")
            end = [ByteText.of(Double(count)) + " of " + ByteText.of(Double(total))]
            if rate > 0 { end.append(ByteText.time(Double(total - count) / rate) + " left") }
        }
        end.insert(ByteText.of(rate) + "/s", at: 1)
        let tail = end.joined(separator: ", ")
        let used = words.joined(separator: " ").count + tail.count + 5
        if let total, columns > used + 10 {
            words.append(bar(Double(count) / Double(max(total, 1)), width: min(columns - used, 40)))
        }
        show("\r" + (words + [tail]).joined(separator: "  ") + "\u{1b}[K")
    }

    /// Replaces the line by the result.
    func finish(_ count: Int) {
        let now = ContinuousClock.now
        let seconds = ByteText.decimal((now - begun) / .seconds(1))
        show("\r\(name): \(ByteText.of(Double(count))) in \(seconds) s, \(ByteText.of(rate(count, now)))/s\u{1b}[K\n")
    }

    /// Ends the line as it is.
    func abandon() {
        if shown != nil { show("\n") }
    }

    /// Bytes per second of this run.
    private func rate(_ count: Int, _ now: ContinuousClock.Instant) -> Double {
        Double(count - first) / max((now - begun) / .seconds(1), 1e-6)
    }

    private func bar(_ share: Double, width: Int) -> String {
        let filled = Int(share * Double(width))
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "]"
    }

    private var columns: Int { Screen.errors.columns ?? 80 }

    private func show(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// Human-readable numbers.
enum ByteText {
    /// `1.23 GB`: powers of 1000.
    static func of(_ count: Double) -> String {
        var (scaled, unit) = (count, "B")
        for next in ["kB", "MB", "GB", "TB", "PB", "EB"] where scaled >= 999.5 {
            (scaled, unit) = (scaled / 1000, next)
        }
        return (unit == "B" ? String(Int(scaled)) : decimal(scaled)) + " " + unit
    }

    /// Three digits.
    static func decimal(_ value: Double) -> String {
        let places = value < 9.995 ? 2 : value < 99.95 ? 1 : 0
        let factor = [1.0, 10, 100][places]
        let digits = String(Int((value * factor).rounded()))
        guard places > 0 else { return digits }
        let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
        return padded.dropLast(places) + "." + padded.suffix(places)
    }

    /// `0:42`, `1:02:03`.
    static func time(_ seconds: Double) -> String {
        // Keeps Int from overflowing.
        let whole = Int(min(seconds.rounded(.up), 1e15))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let (hours, minutes) = (whole / 3600, whole / 60 % 60)
        return (hours > 0 ? "\(hours):" + two(minutes) : "\(minutes)") + ":" + two(whole % 60)
    }
}
