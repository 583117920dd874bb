/// Metrics as Prometheus reads them: the text format, version 0.0.4.
struct Exposition {
    static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    enum Kind: String {
        case counter, gauge, histogram
    }

    /// Escapes in the values of labels.
    private static let escapes: KeyValuePairs<Unicode.Scalar, String> = ["\\": #"\\"#, "\"": #"\""#, "\n": #"\n"#]

    private(set) var text = ""

    /// Begins a metric. Its samples must follow before any others.
    ///
    /// - Parameter help: A sentence without line breaks or backslashes.
    /// - Returns: The name, which begins the metric's samples.
    mutating func begin(_ kind: Kind, _ name: String, _ help: String) -> String {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
        return name
    }

    mutating func sample(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\($0.value.escaped(Self.escapes))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// A gauge of one sample without labels.
    mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        sample(begin(.gauge, name, help), [], String(value))
    }

    /// A counter of one sample without labels.
    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        sample(begin(.counter, name, help), [], String(value))
    }
}
