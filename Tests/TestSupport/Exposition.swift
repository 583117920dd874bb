/// Metrics in Prometheus' text format, version 0.0.4, parsed strictly.
public struct ParsedMetrics {
    public struct Family {
        public var kind: String
        public var help: String
        public var samples: [Sample] = []
        /// Names of the labels, except `le`.
        public var labels: Set<String> { Set(samples.flatMap(\.labels.keys)).subtracting(["le"]) }
    }

    public struct Sample {
        public var name: String
        public var labels: [String: String]
        public var value: Double
    }

    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    public private(set) var families: [String: Family] = [:]

    public subscript(name: String, labels: [String: String]) -> Double? {
        families.values.lazy.flatMap(\.samples).first { $0.name == name && $0.labels == labels }?.value
    }

    /// The sum of all samples that have at least these labels.
    public func sum(_ name: String, _ labels: [String: String] = [:]) -> Double {
        families.values.flatMap(\.samples).filter { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }.reduce(0) { $0 + $1.value }
    }

    public init(_ text: String) throws(Fault) {
        guard text.hasSuffix("\n") else { throw Fault(description: "the last line does not end") }
        var current: String?
        var helps: [String: String] = [:]
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("# HELP ") {
                let parts = line.dropFirst(7).split(separator: " ", maxSplits: 1)
                try Self.require(parts.count == 2 && Self.isName(parts[0]), line)
                try Self.require(helps.updateValue(String(parts[1]), forKey: String(parts[0])) == nil, line)
                current = nil
            } else if line.hasPrefix("# TYPE ") {
                let parts = line.dropFirst(7).split(separator: " ", omittingEmptySubsequences: false).map(String.init)
                try Self.require(parts.count == 2 && ["counter", "gauge", "histogram"].contains(parts[1]), line)
                try Self.require(families[parts[0]] == nil, line)
                guard let help = helps[parts[0]] else { throw Fault(description: "no help before: \(line)") }
                families[parts[0]] = Family(kind: parts[1], help: help)
                current = parts[0]
            } else {
                let sample = try Self.sample(line)
                guard let name = current, let family = families[name] else {
                    throw Fault(description: "a sample of no family: \(line)")
                }
                let names = family.kind == "histogram" ? ["_bucket", "_sum", "_count"].map { name + $0 } : [name]
                try Self.require(names.contains(sample.name), line)
                try Self.require(family.kind != "counter" || name.hasSuffix("_total"), line)
                try Self.require(family.kind == "gauge" || sample.value >= 0, line)
                let isNew = !family.samples.contains { $0.name == sample.name && $0.labels == sample.labels }
                try Self.require(isNew, line)
                families[name]?.samples.append(sample)
            }
        }
        try Self.require(Set(helps.keys) == Set(families.keys), "a help without a type")
        for (name, family) in families where family.kind == "histogram" { try Self.check(name, family.samples) }
    }

    /// Checks that buckets are ordered, cumulative and end with +Inf, and that the last one equals the count.
    private static func check(_ name: String, _ samples: [Sample]) throws(Fault) {
        var series: [[String: String]: [Sample]] = [:]
        for sample in samples {
            var labels = sample.labels
            labels["le"] = nil
            series[labels, default: []].append(sample)
        }
        for (labels, samples) in series {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let bounds = buckets.compactMap { bucket in bucket.labels["le"].flatMap(number) }
            let counts = buckets.map(\.value)
            try require(bounds.count == buckets.count && bounds.last == .infinity, "\(name) \(labels): bounds")
            try require(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "\(name) \(labels): order")
            try require(zip(counts, counts.dropFirst()).allSatisfy { $0 <= $1 }, "\(name) \(labels): \(counts)")
            let count = samples.filter { $0.name == name + "_count" }.map(\.value)
            try require(count == [counts.last ?? -1], "\(name) \(labels): \(count)")
            try require(samples.count { $0.name == name + "_sum" } == 1, "\(name) \(labels): sum")
        }
    }

    private static func require(_ condition: Bool, _ what: some StringProtocol) throws(Fault) {
        if !condition { throw Fault(description: String(what)) }
    }

    private static func sample(_ line: Substring) throws(Fault) -> Sample {
        let name = line.prefix { $0 != "{" && $0 != " " }
        try require(isName(name), line)
        var rest = line.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            repeat {
                rest.removeFirst()
                let label = rest.prefix { $0 != "=" }
                try require(isName(label) && !label.contains(":") && rest.dropFirst(label.count).hasPrefix("=\""), line)
                rest = rest.dropFirst(label.count + 2)
                var value = ""
                while let character = rest.first, character != "\"" {
                    rest.removeFirst()
                    if character == "\\" {
                        guard let escaped = rest.first, let meant = ["\\": "\\", "\"": "\"", "n": "\n"][escaped] else {
                            throw Fault(description: "an unknown escape: \(line)")
                        }
                        rest.removeFirst()
                        value += meant
                    } else {
                        value.append(character)
                    }
                }
                try require(rest.popFirst() == "\"" && labels.updateValue(value, forKey: String(label)) == nil, line)
            } while rest.first == ","
            try require(rest.popFirst() == "}", line)
        }
        guard rest.popFirst() == " ", let value = number(rest) else { throw Fault(description: "no value: \(line)") }
        return Sample(name: String(name), labels: labels, value: value)
    }

    /// A number as Go parses it, without spaces and without a timestamp after it.
    private static func number(_ text: some StringProtocol) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default: text.allSatisfy { "0123456789+-.e".contains($0) } ? Double(text) : nil
        }
    }

    private static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.first?.isNumber == false
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
    }
}
