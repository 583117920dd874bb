extension StringProtocol {
    /// The same text with other text in place of some characters.
    func escaped(_ escapes: KeyValuePairs<Unicode.Scalar, String>) -> String {
        var escaped = ""
        for scalar in unicodeScalars {
            if let escape = escapes.first(where: { $0.key == scalar }) {
                escaped += escape.value
            } else {
                escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
