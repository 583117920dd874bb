/// Name, type and help of a metric, which are written before its samples.
struct MetricFamily: Sendable {
    enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    var name: String
    var kind: Kind
    /// Names of the labels, except `le` of a histogram's buckets.
    var labels: [String] = []
    /// A sentence without line breaks or backslashes.
    var help: String
}

/// Metrics as Prometheus reads them: the text format, version 0.0.4.
struct Exposition {
    static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// Escapes in the values of labels.
    private static let escapes: KeyValuePairs<Unicode.Scalar, String> = ["\\": #"\\"#, "\"": #"\""#, "\n": #"\n"#]

    private(set) var text = ""

    /// Begins a family. Its samples must follow before any others.
    mutating func begin(_ family: MetricFamily) {
        text += "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.kind.rawValue)\n"
    }

    mutating func sample(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\($0.value.escaped(Self.escapes))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// A family of one sample without labels.
    mutating func add(_ family: MetricFamily, _ value: Int) {
        begin(family)
        sample(family.name, [], String(value))
    }
}
