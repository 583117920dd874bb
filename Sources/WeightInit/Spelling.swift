extension String {
    /// A client's text between quotation marks, cut to a readable length and without control characters.
    public var quotedForMessage: String {
        var text = "\""
        for scalar in unicodeScalars.prefix(64) {
            text.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? "\u{fffd}" : scalar)
        }
        if unicodeScalars.dropFirst(64).isEmpty == false { text += "…" }
        return text + "\""
    }

    /// Whether a person who meant `word` may have typed this.
    func isPlausiblyMistyped(_ word: String) -> Bool {
        editDistance(to: word) <= max(2, word.utf8.count / 3)
    }

    /// Levenshtein distance over UTF-8 bytes; only the first 64 bytes count.
    func editDistance(to other: String) -> Int {
        let left = Array(utf8.prefix(64))
        let right = Array(other.utf8.prefix(64))
        var previous = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, otherByte) in right.enumerated() {
                let substituted = previous[column] + (byte == otherByte ? 0 : 1)
                current.append(Swift.min(substituted, previous[column + 1] + 1, current[column] + 1))
            }
            previous = current
        }
        return previous[right.count]
    }
}

extension [String] {
    /// The same words, the nearest to `given` first, equals in their own order.
    func orderedByDistance(to given: String) -> [String] {
        map { (word: $0, distance: $0.editDistance(to: given)) }
            .enumerated()
            .sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
            .map(\.element.word)
    }
}
