public import ByteText

/// A part of a tensor in NumPy's notation without steps: `0:512,:,-3:`.
///
/// Each item is `start:end`; either may be missing. A negative index counts from the end, and indices outside of the
/// dimension are cut off. Dimensions without an item are whole.
public struct Slice: Sendable, Equatable {
    struct Item: Sendable, Equatable {
        /// `nil` for 0.
        var start: Int?
        var end: Int?
    }

    /// The items without whole ones at the end, so that notations of the same part are equal.
    let items: [Item]

    /// - Parameter allowsIndices: Takes `3` for `3:4`, which keeps the dimension.
    /// - Throws: `invalid` for another notation, steps included.
    public init(_ text: Text, allowsIndices: Bool = false) throws(InitError) {
        let count = text.utf8.count { $0 == UInt8(ascii: ",") } + 1
        guard count <= Shape.maximumRank else {
            throw InitError(.invalid, [], "has \(count) items; at most \(Shape.maximumRank) are allowed")
        }
        let pieces = text.split(separator: ",")
        var items: [Item] = []
        for piece in pieces where pieces.count > 1 || !piece.utf8.allSatisfy({ $0 == UInt8(ascii: " ") }) {
            items.append(try Item(piece, allowsIndices: allowsIndices))
        }
        while items.last == Item() { items.removeLast() }
        self.items = items
    }

    /// The part with one index of the first dimension.
    init(row: Int) {
        items = [Item(start: row == 0 ? nil : row, end: row + 1)]
    }

    /// `true` if the slice is all of any tensor.
    public var isWhole: Bool { items.isEmpty }
}

extension Slice: CustomStringConvertible {
    /// The shortest notation: `:512,:,-3:`
    public var description: String {
        items.map { ($0.start.map(String.init) ?? "") + ":" + ($0.end.map(String.init) ?? "") }.joined(separator: ",")
    }
}

extension Slice.Item {
    fileprivate init(_ text: Text, allowsIndices: Bool) throws(InitError) {
        let ends = text.split(separator: ":", maxSplits: 2)
        guard ends.count != 1 else {
            let index = try Slice.Item.index(text)
            if allowsIndices, let index {
                start = index == 0 ? nil : index
                end = index == -1 ? nil : index &+ 1
                return
            }
            throw InitError(
                .invalid,
                [],
                index.map {
                    "\($0) would remove the dimension; a range keeps it: \($0):\([-1, .max].contains($0) ? "" : String($0 + 1))"
                }
                    ?? "an item is empty; all of a dimension is written :"
            )
        }
        guard ends.count == 2 else {
            throw InitError(.invalid, [], "\(text.quotedForMessage) has a step; items are start:end")
        }
        start = try Slice.Item.index(ends[0])
        if start == 0 { start = nil }
        end = try Slice.Item.index(ends[1])
    }

    /// Reads an integer; `nil` for an empty text. Out of range, it is the nearest `Int`, because no dimension is that
    /// long.
    private static func index(_ text: Text) throws(InitError) -> Int? {
        let digits = text.trimmed
        guard !digits.isEmpty else { return nil }
        let magnitude = digits.removing(prefix: "-") ?? digits
        guard !magnitude.isEmpty, magnitude.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw InitError(.invalid, [], "\(digits.quotedForMessage) is not an integer; items are start:end")
        }
        return Int(digits.description) ?? (digits.hasPrefix("-") ? -Int.max : Int.max)
    }

    /// `true` if both ends lie within a dimension.
    func isWithin(_ size: Int) -> Bool {
        [start, end].allSatisfy { index in index.map { (-size...size).contains($0) } ?? true }
    }

    /// The indices of this item in a dimension of `size`.
    func range(of size: Int) -> Range<Int> {
        func position(_ index: Int) -> Int { min(max(index < 0 ? index + size : index, 0), size) }
        let first = position(start ?? 0)
        return first..<max(first, position(end ?? size))
    }
}
