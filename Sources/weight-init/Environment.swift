import ArgumentParser
import Glibc

/// A command whose options can come from the environment.
protocol EnvironmentConfigurable: ParsableCommand {}

/// The arguments that the environment's variables stand for.
func environmentArguments(for command: some EnvironmentConfigurable) -> [String] {
    // The parser itself finds the options in the same way.
    Mirror(reflecting: command).children.compactMap(\.label).flatMap { label -> [String] in
        let words = label.drop { $0 == "_" }.splitAtCapitals
        guard let value = environmentVariable("WEIGHT_INIT_" + words.joined(separator: "_").uppercased()) else {
            return []
        }
        // Kubernetes sets WEIGHT_INIT_PORT to tcp://… in the containers beside a service of the name weight-init.
        guard !value.hasPrefix("tcp://") else { return [] }
        return ["--" + words.joined(separator: "-").lowercased() + "=" + value]
    }
}

private func environmentVariable(_ name: String) -> String? {
    // Copied at once; nothing here changes the environment.
    getenv(name).map { String(cString: $0) }
}

extension Substring {
    /// `maxBodyBytes` is `max`, `Body`, `Bytes`.
    fileprivate var splitAtCapitals: [Substring] {
        var words: [Substring] = []
        var rest = self
        while !rest.isEmpty {
            let end = rest.dropFirst().firstIndex(where: \.isUppercase) ?? rest.endIndex
            words.append(rest[..<end])
            rest = rest[end...]
        }
        return words
    }
}
