internal import ByteText

/// Suggestions for words that may be mistyped, shortened or taken from another library.
extension Text {
    /// `true` if a person who meant `word` may have typed this.
    func isPlausiblyMistyped(_ word: Text) -> Bool {
        editDistance(to: word) <= (word.byteCount < 5 ? 1 : Swift.max(2, word.byteCount / 3))
    }

    /// `true` if the word begins with this, or has it behind an underscore: `xavier` for `xavier_uniform`.
    fileprivate func isPart(of word: Text) -> Bool {
        byteCount >= 3 && (word.hasPrefix(self) || word.hasSuffix("_" + self))
    }

    /// Edits from this word to another over UTF-8 bytes; two neighbours that change places are one edit.
    ///
    /// Only the first 64 bytes of each count, so that it takes at most 4 096 steps.
    func editDistance(to other: Text) -> Int {
        let left = Array(utf8.prefix(64))
        let right = Array(other.utf8.prefix(64))
        // Rows of the table of distances between prefixes: the one that is filled, and two before it.
        var row = Array(0...right.count)
        var last = row
        for (index, byte) in left.enumerated() {
            var next = row
            next[0] = index + 1
            for (column, otherByte) in right.enumerated() {
                let substituted = row[column] + (byte == otherByte ? 0 : 1)
                next[column + 1] = Swift.min(substituted, row[column + 1] + 1, next[column] + 1)
                guard index > 0, column > 0, byte == right[column - 1], left[index - 1] == otherByte else { continue }
                next[column + 1] = Swift.min(next[column + 1], last[column - 1] + 1)
            }
            (last, row) = (row, next)
        }
        return row[right.count]
    }
}

/// Known words that an unknown one may stand for.
struct Suggestion {
    /// The known words, the nearest first.
    let ordered: [Text]
    /// Words that are likely meant, at most three; empty if none is.
    let likely: [Text]

    /// Names that other libraries and papers use, and what they are called here.
    private static let misnomers: [Text: [Text]] = [
        "act": ["nonlinearity"], "activation": ["nonlinearity"], "dim": ["shape"], "dims": ["shape"],
        "dimensions": ["shape"], "fill": ["value", "constant"], "fill_value": ["value"], "full": ["constant"],
        "gaussian": ["normal"], "glorot": ["xavier_uniform", "xavier_normal"],
        "he": ["kaiming_uniform", "kaiming_normal"],
        "high": ["b"], "identity": ["eye"], "init": ["method"], "initializer": ["method"], "loc": ["mean"],
        "low": ["a"],
        "max": ["b"], "min": ["a"], "mu": ["mean"], "negative_slope": ["a", "param"], "rand": ["uniform"],
        "randn": ["normal"], "random_state": ["seed"], "sigma": ["std"], "size": ["shape"], "sizes": ["shape"],
        "slope": ["a", "param"], "stddev": ["std"], "stdev": ["std"], "truncated_normal": ["trunc_normal"],
        "type": ["dtype"],
    ]

    init(for given: Text, among known: [Text]) {
        let synonyms = (Self.misnomers[given] ?? []).filter(known.contains)
        let byDistance = known.orderedByDistance(to: given)
        let parts = byDistance.filter { given.isPart(of: $0) && !synonyms.contains($0) }
        let better = synonyms + parts
        ordered = better + byDistance.filter { !better.contains($0) }
        if !better.isEmpty {
            likely = Array((synonyms.isEmpty ? parts : synonyms).prefix(3))
        } else {
            likely = ordered.first.map { given.isPlausiblyMistyped($0) ? [$0] : [] } ?? []
        }
    }
}

extension Sequence<Text> {
    /// The same words, the nearest to `given` first, equals in their own order.
    ///
    /// For the words of a table; of a client's names, ``nearest(to:)`` looks at a bounded number.
    func orderedByDistance(to given: Text) -> [Text] {
        map { (word: $0, distance: $0.editDistance(to: given)) }
            .enumerated()
            .sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
            .map(\.element.word)
    }

    /// Up to eight of the words that are nearest to `given`, equals in the order of their bytes.
    ///
    /// Compares at most 256 words, those of about the same length first.
    func nearest(to given: Text) -> [Text] {
        var similar: [Text] = []
        var others: [Text] = []
        let difference = Swift.max(2, given.byteCount / 3)
        for word in self {
            if abs(word.byteCount - given.byteCount) <= difference {
                similar.append(word)
            } else if others.count < 256 {
                others.append(word)
            }
            if similar.count == 256 { break }
        }
        return Array((similar + others).prefix(256).sorted().orderedByDistance(to: given).prefix(8))
    }
}
