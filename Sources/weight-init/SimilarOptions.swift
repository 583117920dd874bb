import ByteText
import WeightInit

/// Options that may be meant by a name that no option has. A wrong suggestion is worse than none.
enum SimilarOptions {
    /// Largest number of suggestions: a part of more names, such as `max`, does not say which one is meant.
    private static let limit = 4

    /// Names from other programs, without hyphens, each with the names used here.
    private static let misnomers: [Text: [Text]] = [
        "address": ["host"], "bind": ["host"], "hostname": ["host"], "interface": ["host"], "ip": ["host"],
        "listen": ["host"],
        "verbose": ["log-level"], "workers": ["threads", "work-threads"],
    ]

    /// The names that are likely meant, in the order of the table: those that are a few letters off, otherwise those
    /// that contain the given name. Hyphens, underscores and the case of ASCII letters do not count.
    ///
    /// - Parameters:
    ///   - given: A name without `--` or the prefix of variables.
    ///   - names: The known names; each counts once.
    static func likely(for given: Text, among names: [Text]) -> [Text] {
        let word = letters(of: given)
        let synonyms =
            (misnomers[word] ?? []).filter(names.contains) + Suggestion.synonyms(of: given, among: names)
        guard synonyms.isEmpty else { return synonyms }
        var candidates: [(name: Text, letters: Text)] = []
        for name in names where !candidates.contains(where: { $0.name == name }) {
            candidates.append((name, letters(of: name)))
        }
        let distances = candidates.map { word.editDistance(to: $0.letters) }
        if let least = distances.min(), least <= tolerance(of: word) {
            return few(zip(candidates, distances).filter { $1 == least }.map(\.0.name))
        }
        // The last is for names such as auth-token.
        for part in [word, word.removing(suffix: "s") ?? word, word.contains("token") ? "token" : word]
        where part.byteCount >= 3 {
            let longer = candidates.filter { $0.letters.contains(part) }.map(\.name)
            if !longer.isEmpty { return few(longer) }
        }
        return []
    }

    /// Number of edits at which a word is still a mistyped name.
    private static func tolerance(of word: Text) -> Int {
        min(word.byteCount / 3, 3)
    }

    private static func few(_ names: [Text]) -> [Text] {
        names.count <= limit ? names : []
    }

    private static func letters(of name: Text) -> Text {
        let hyphens = [UInt8(ascii: "-"), UInt8(ascii: "_")]
        return Text(decoding: name.asciiLowercased().utf8.filter { !hyphens.contains($0) })
    }
}
