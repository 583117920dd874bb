package import ByteText

/// Suggestions for words that may be mistyped, shortened or taken from another library.
extension Text {
    /// Returns `true` if this may be a mistyped `word`. The case of ASCII letters does not count.
    func isPlausiblyMistyped(_ word: Text) -> Bool {
        let distance = asciiLowercased().editDistance(to: word.asciiLowercased())
        return distance <= (word.byteCount < 5 ? 1 : Swift.max(2, word.byteCount / 3))
    }

    /// Returns `true` if `word` begins with this text, or ends with it after an underscore: `xavier` for
    /// `xavier_uniform`. The case of ASCII letters does not count.
    fileprivate func isPart(of word: Text) -> Bool {
        let (part, whole) = (asciiLowercased(), word.asciiLowercased())
        return byteCount >= 3 && (whole.hasPrefix(part) || whole.hasSuffix("_" + part))
    }

    /// Number of edits from this word to another.
    package func editDistance(to other: Text) -> Int {
        EditDistance(from: self)(to: other)
    }
}

/// Number of edits from one word to others, in UTF-8 bytes; a swap of two neighbours is one edit.
///
/// Only the first 64 bytes of a word count. A column of the table of distances between prefixes is then two 64-bit
/// words, and each byte of the other word takes a dozen operations. The method is from Hyyrö, "A bit-vector algorithm
/// for computing Levenshtein and Damerau edit distances" (2003).
struct EditDistance {
    private static let longest = 64

    /// Number of bytes of the word that count.
    private let length: Int
    /// For each byte, a bit for each place at which it is in the word.
    private var places = InlineArray<256, UInt64>(repeating: 0)

    init(from word: Text) {
        length = Swift.min(word.byteCount, Self.longest)
        for (place, byte) in word.utf8.prefix(Self.longest).enumerated() { places[Int(byte)] |= 1 << UInt64(place) }
    }

    func callAsFunction(to other: Text) -> Int {
        guard length > 0 else { return Swift.min(other.byteCount, Self.longest) }
        // Bits of the column's cells that are one more (`up`) or one less (`down`) than the cell above.
        var (up, down): (UInt64, UInt64) = (.max, 0)
        // Bits of the cells that equal the cell above and to the left.
        var same: UInt64 = 0
        var lastPlaces: UInt64 = 0
        let bottom: UInt64 = 1 << UInt64(length - 1)
        var distance = length
        for byte in other.utf8.prefix(Self.longest) {
            let places = places[Int(byte)]
            let exchanged = (~same & places) << 1 & lastPlaces
            same = (((places & up) &+ up) ^ up) | places | down | exchanged
            // Bits of the cells that are one more (`right`) or one less (`left`) than the cell to the left.
            var right = down | ~(same | up)
            var left = same & up
            if right & bottom != 0 { distance += 1 }
            if left & bottom != 0 { distance -= 1 }
            right = right << 1 | 1
            left <<= 1
            up = left | ~(same | right)
            down = right & same
            lastPlaces = places
        }
        return distance
    }
}

/// Known words that may be meant by an unknown word.
package struct Suggestion {
    /// The known words, the nearest first.
    package let ordered: [Text]
    /// At most three words that are likely meant; empty if none is likely.
    package let likely: [Text]

    /// Names from other libraries and papers, each with the names used here.
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

    package init(for given: Text, among known: [Text]) {
        let synonyms = Self.synonyms(of: given, among: known)
        let byDistance = known.orderedByDistance(to: given)
        let same = byDistance.filter { given.equalsIgnoringASCIICase($0) && !synonyms.contains($0) }
        let best = synonyms + same
        let parts = byDistance.filter { given.isPart(of: $0) && !best.contains($0) }
        let better = best + parts
        ordered = better + byDistance.filter { !better.contains($0) }
        if !better.isEmpty {
            likely = Array([synonyms, same, parts].first { !$0.isEmpty }?.prefix(3) ?? [])
        } else {
            likely = ordered.first.map { given.isPlausiblyMistyped($0) ? [$0] : [] } ?? []
        }
    }

    /// The known words that other libraries and papers call `given`.
    package static func synonyms(of given: Text, among known: [Text]) -> [Text] {
        (misnomers[given.asciiLowercased()] ?? []).filter(known.contains)
    }

    /// The question at the end of a message; empty if no word is likely meant.
    package static func question(_ likely: [Text]) -> String {
        likely.isEmpty ? "" : "; did you mean \(likely.joined(separator: " or "))?"
    }
}

extension Sequence<Text> {
    /// The same words, the nearest to `given` first; words at equal distance keep their order. The case of ASCII letters
    /// does not count.
    ///
    /// Use it for the words of a table. For a client's names, use ``nearest(to:)``, which compares a bounded number.
    func orderedByDistance(to given: Text) -> [Text] {
        let distance = EditDistance(from: given.asciiLowercased())
        return map { (word: $0, distance: distance(to: $0.asciiLowercased())) }
            .enumerated()
            .sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
            .map(\.element.word)
    }

    /// Up to eight words that are nearest to `given`; words at equal distance are sorted by their bytes.
    ///
    /// Compares at most 256 words; words of about the same length come first.
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
