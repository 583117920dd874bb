import ByteText
import Glibc
import Settings
import TorchRandom
import WeightInit

/// Environment variables with the command's prefix that nothing reads, for example because of a mistyped name.
enum Environment {
    private static let prefix: Text = "WEIGHT_INIT_"

    /// Names without the prefix, spelled like options. `serve` and `health` share a container's variables.
    private static let options: [(name: Text, variable: Text)] =
        (ServeTable.settings.map { ($0.name, $0.environmentVariable) }
        + HealthTable.settings.map { ($0.name, $0.environmentVariable) }).map { (Text($0), Text($1)) }

    /// Variables of the kernels, and of the examples, which may run in the same shell.
    private static let others: [Text] = ["kernel", "url"]

    /// Variable of client programs, which may run in the same shell. `serve` reads its tokens from a file.
    private static let token: Text = "token"

    /// A sentence that names the variables without effect; `nil` if there are none.
    ///
    /// - Parameter hasTokens: `true` if the service has tokens: then a client's token variable is no mistake.
    static func warning(hasTokens: Bool) -> String? {
        let names = options.map(\.name)
        let known = names + others + (hasTokens ? [token] : [])
        let unknown = all.filter { name, value in !known.contains(option(name)) && !isOfKubernetes(name, value) }
            .map(\.name).sorted()
        guard !unknown.isEmpty else { return nil }
        let parts = unknown.map { name in
            let likely = Suggestion(for: option(name), among: names).likely.compactMap { meant in
                options.first { $0.name == meant }?.variable
            }
            return likely.isEmpty ? "\(name)" : "\(name) (did you mean \(likely.joined(separator: " or "))?)"
        }
        return "environment variables that nothing reads: \(parts.joined(separator: ", "))"
    }

    /// Variables with the prefix.
    private static var all: [(name: Text, value: Text)] {
        var all: [(name: Text, value: Text)] = []
        // Unsafe because the environment is a list of pointers that ends with NULL. Nothing here changes the
        // environment.
        var next = environ
        while let entry = next.pointee {
            let parts = Text(String(cString: entry)).split(separator: "=", maxSplits: 1)
            if parts.count == 2, parts[0].hasPrefix(prefix) { all.append((parts[0], parts[1])) }
            next += 1
        }
        return all
    }

    /// `true` for variables that Kubernetes sets in containers beside a service whose name begins with weight-init.
    private static func isOfKubernetes(_ name: Text, _ value: Text) -> Bool {
        ["tcp://", "udp://", "sctp://"].contains { value.hasPrefix($0) }
            || ["_SERVICE_HOST", "_SERVICE_PORT"].contains { name.contains($0) }
            || (0...9).contains { name.contains("_PORT_\($0)") }
    }

    private static func option(_ variable: Text) -> Text {
        let name = variable.removing(prefix: prefix) ?? variable
        return Text(decoding: name.asciiLowercased().utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 })
    }
}
