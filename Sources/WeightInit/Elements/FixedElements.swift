private import ByteSource

/// One value everywhere, except for another value at a few places.
final class FixedElements: ElementSource {
    private let pattern: [UInt8]
    private let itemSize: Int
    private let one: [UInt8]
    private let ones: (Range<Int>) -> [Int]

    /// - Parameters:
    ///   - bits: Bits of the value everywhere else.
    ///   - one: Bits of the value at the places that `ones` gives for a range of elements.
    init(itemSize: Int, bits: UInt64, one: UInt64 = 0, ones: @escaping (Range<Int>) -> [Int] = { _ in [] }) {
        self.itemSize = itemSize
        pattern = FixedElements.bytes(bits, itemSize)
        self.one = FixedElements.bytes(one, itemSize)
        self.ones = ones
    }

    private static func bytes(_ bits: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        let (pattern, one) = (self.pattern, self.one)
        var room = destination._mutatingExtracting(0..<range.count * itemSize)
        room.fill(repeating: pattern.span.bytes)
        for element in ones(range) {
            let from = (element - range.lowerBound) * itemSize
            var place = destination._mutatingExtracting(from..<from + itemSize)
            place.copy(one.span.bytes)
        }
        return (range.count, range.count)
    }
}
