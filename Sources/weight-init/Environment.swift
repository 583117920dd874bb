import ByteText
import Glibc
import Settings
import TorchRandom

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
        let unread = unread(hasTokens: hasTokens)
        guard !unread.isEmpty else { return nil }
        let parts = unread.map { name in
            // It has a client's token, and not the name of a file.
            guard option(name) != token else { return "\(name) (clients read it; serve reads a file, --token-file)" }
            let likely = SimilarOptions.likely(for: option(name), among: options.map(\.name)).compactMap { meant in
                options.first { $0.name == meant }?.variable
            }
            return likely.isEmpty ? "\(name)" : "\(name) (did you mean \(likely.joined(separator: " or "))?)"
        }
        return "environment variables that nothing reads: \(parts.joined(separator: ", "))"
    }

    /// A sentence about a variable that was probably meant to name the file of tokens; `nil` if there is none.
    ///
    /// - Parameter hasTokens: `true` if the service has tokens: then such a variable leaves nothing open.
    static func missingTokens(hasTokens: Bool) -> String? {
        guard !hasTokens else { return nil }
        return unread(hasTokens: hasTokens).first { option($0) != token && option($0).contains(token) }.map { name in
            "nothing reads \(name), and without tokens the service would be open; WEIGHT_INIT_TOKEN_FILE names the "
                + "file of the tokens. Unset \(name) to serve without tokens."
        }
    }

    /// Names of the variables without effect, sorted.
    private static func unread(hasTokens: Bool) -> [Text] {
        let known = options.map(\.name) + others + (hasTokens ? [token] : [])
        return all.filter { name, value in !known.contains(option(name)) && !isOfKubernetes(name, value) }
            .map(\.name).sorted()
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
