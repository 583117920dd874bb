import ByteText
import Glibc
import InitAPI

/// A summary for a terminal: statistics and a histogram.
enum SummaryPicture {
    /// Lines of a histogram.
    private static let height = 8
    /// Characters of a bin.
    private static let binWidth = 2
    /// Signs for bins of a histogram in one line, by the share of the fullest bin.
    private static let ramp = Array(" .:-=+*#%@")

    /// - Parameter summary: Answer to a request in the format `summary`.
    static func text(of summary: JSONValue, _ style: TextStyle) -> String {
        guard case .object(let members) = summary else { return Table.text(of: summary, style) }
        let statistics = JSONValue.object(members.filter { $0.name != "histogram" && $0.name != "tensors" })
        let head = Table.text(of: statistics, style)
        if let tensors = summary["tensors"]?.elements { return head + "\n" + lines(of: tensors, style) }
        guard let histogram = summary["histogram"].flatMap(Histogram.init) else { return head }
        return head + "\n" + bars(of: histogram, style)
    }

    // MARK: One tensor

    private static func bars(of histogram: Histogram, _ style: TextStyle) -> String {
        let most = histogram.counts.max() ?? 0
        let labels = [String(most), "0"]
        let margin = labels.map(\.count).max() ?? 0
        let lines = (0..<height).map { line in
            let level = height - line
            let cells = histogram.counts.map { count in
                let isFilled = filledLevels(count, of: most) >= level
                // A bin with few of many numbers is shown, too.
                let sign = isFilled ? "#" : count > 0 && level == 1 ? "." : " "
                return String(repeating: sign, count: binWidth)
            }
            let label = line == 0 ? labels[0] : ""
            let bars = cells.joined()
            let end = bars.lastIndex { $0 != " " }.map { bars[...$0] } ?? ""
            return padded(label, to: margin) + " |" + style.bar(String(end))
        }
        let axis =
            padded(labels[1], to: margin) + " +" + String(repeating: "-", count: binWidth * histogram.counts.count)
        return (lines + [axis, ticks(of: histogram, margin)]).joined(separator: "\n") + "\n" + outside(histogram)
    }

    /// The lines that a bin fills, rounded.
    private static func filledLevels(_ count: Int, of most: Int) -> Int {
        Int((Double(count) / Double(max(most, 1)) * Double(height)).rounded())
    }

    /// The lowest, the middle and the highest edge below the axis.
    private static func ticks(of histogram: Histogram, _ margin: Int) -> String {
        let edges = histogram.edges
        let width = binWidth * histogram.counts.count
        guard let low = edges.first, let high = edges.last else { return "" }
        let (left, middle, right) = (rounded(low), rounded(edges[edges.count / 2]), rounded(high))
        let before = max(width / 2 - left.count - middle.count / 2, 1)
        let after = max(width - left.count - before - middle.count - right.count, 1)
        return String(repeating: " ", count: margin + 2) + left + String(repeating: " ", count: before) + middle
            + String(repeating: " ", count: after) + right
    }

    private static func outside(_ histogram: Histogram) -> String {
        guard histogram.below + histogram.above > 0 else { return "" }
        return "outside: \(histogram.below) below, \(histogram.above) above\n"
    }

    private static func padded(_ text: String, to width: Int) -> String {
        String(repeating: " ", count: max(width - text.count, 0)) + text
    }

    // MARK: A model

    private static func lines(of tensors: [JSONValue], _ style: TextStyle) -> String {
        let names: [Text] = ["mean", "std", "min", "max"]
        let rows = tensors.map { tensor in
            [tensor["name"].map(Table.cell) ?? "", tensor["shape"].map(Table.cell) ?? ""]
                + names.map { tensor[$0]?.double.map(rounded) ?? "–" }
                + [tensor["histogram"].flatMap(Histogram.init).map(strip) ?? ""]
        }
        return Table.aligned([["name", "shape"] + names.map(\.description) + ["histogram"]] + rows, headedIn: style)
    }

    /// A histogram in one line.
    private static func strip(_ histogram: Histogram) -> String {
        let most = Double(max(histogram.counts.max() ?? 0, 1))
        let last = Double(ramp.count - 1)
        let signs = histogram.counts.map { ramp[Int((Double($0) / most * last).rounded(.up))] }
        return "|" + String(signs) + "|"
    }

    // MARK: Numbers

    /// Four digits, as C's `%.4g` writes them.
    private static func rounded(_ value: Double) -> String {
        var text = [CChar](repeating: 0, count: 32)
        let count = withVaList([value]) { vsnprintf(&text, text.count, "%.4g", $0) }
        return String(decoding: text.prefix(Int(max(count, 0))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

private struct Histogram {
    var edges: [Double]
    var counts: [Int]
    var below: Int
    var above: Int

    /// - Returns: `nil` if the value is not a histogram, for example for a tensor without numbers.
    init?(_ value: JSONValue) {
        edges = value["edges"]?.elements.compactMap(\.double) ?? []
        counts = value["counts"]?.elements.compactMap(\.integer) ?? []
        below = value["below"]?.integer ?? 0
        above = value["above"]?.integer ?? 0
        guard !counts.isEmpty, edges.count == counts.count + 1 else { return nil }
    }
}
