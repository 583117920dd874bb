import ByteText
import Testing

@testable import WeightInit

@Suite("Edit distances between words")
struct EditDistanceTests {
    /// The distance by the table for all prefixes; the tested method keeps one column of the table, as bits.
    private func expected(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var table = [[Int]](repeating: Array(0...right.count), count: left.count + 1)
        for row in 0...left.count { table[row][0] = row }
        for row in stride(from: 1, through: left.count, by: 1) {
            for column in stride(from: 1, through: right.count, by: 1) {
                let substituted = table[row - 1][column - 1] + (left[row - 1] == right[column - 1] ? 0 : 1)
                var least = min(substituted, table[row - 1][column] + 1, table[row][column - 1] + 1)
                if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                    least = min(least, table[row - 2][column - 2] + 1)
                }
                table[row][column] = least
            }
        }
        return table[left.count][right.count]
    }

    @Test("The distance of any two words is the table's, for their first 64 bytes")
    func random() {
        var generator = SplitMix(state: 5)
        for round in 0..<3000 {
            let alphabet = UInt8.random(in: 2...5, using: &generator)
            let longest = round % 3 == 0 ? 70 : 9
            let words = (0..<2).map { _ in
                (0..<Int.random(in: 0...longest, using: &generator)).map { _ in
                    UInt8(ascii: "a") + UInt8.random(in: 0..<alphabet, using: &generator)
                }
            }
            let distance = EditDistance(from: Text(decoding: words[0]))(to: Text(decoding: words[1]))
            #expect(distance == expected(Array(words[0].prefix(64)), Array(words[1].prefix(64))), "\(words)")
        }
    }

    @Test(
        "Two swapped letters are one edit",
        arguments: [
            ("normal", "nromal", 1), ("", "abc", 3), ("abc", "", 3), ("é", "e\u{301}", 3), ("shape", "shpae", 1),
        ]
            as [(Text, Text, Int)]
    )
    func words(_ left: Text, _ right: Text, _ distance: Int) {
        #expect(left.editDistance(to: right) == distance && right.editDistance(to: left) == distance)
    }
}
