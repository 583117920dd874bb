extension String {
    /// Help text that begins with examples.
    static func beginning(with examples: [String], _ text: String) -> String {
        (["Examples:"] + examples.map { "  " + $0 }).joined(separator: "\n") + "\n\n" + text
    }
}
