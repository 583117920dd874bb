extension StringProtocol {
    /// The same text, in which each character of `escapes` is replaced by its escape.
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
