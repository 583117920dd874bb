internal import ByteText
import InitAPI

/// A `Range` field applied to a body, RFC 9110 section 14.2.
enum ByteRangeRequest: Equatable {
    /// All of it: no range, several, another unit, one that cannot be read, or a body without bytes.
    case whole
    case part(Range<Int>)
    case unsatisfiable

    init(_ fieldValue: Text?, byteCount: Int) {
        // Of nothing, a part would be an error even to who asks for all in parts, as caches do.
        guard byteCount > 0, let parts = fieldValue?.split(separator: "=", maxSplits: 1), parts.count == 2,
            parts[0].trimmed.equalsIgnoringASCIICase("bytes")
        else {
            self = .whole
            return
        }
        let ends = parts[1].trimmed.split(separator: "-", maxSplits: 1)
        guard ends.count == 2, ends.allSatisfy({ $0.utf8.allSatisfy(\.isDigit) }) else {
            self = .whole
            return
        }
        switch (ends[0].isEmpty, ends[1].isEmpty) {
        case (true, true):
            self = .whole
        case (true, false):
            // The last bytes, or all where there are fewer.
            let count = min(ByteRangeRequest.clamped(ends[1]), byteCount)
            self = count == 0 ? .unsatisfiable : .part((byteCount - count)..<byteCount)
        case (false, let isOpen):
            let first = ByteRangeRequest.clamped(ends[0])
            let last = isOpen ? Int.max : ByteRangeRequest.clamped(ends[1])
            if last < first {
                self = .whole
            } else {
                self = first < byteCount ? .part(first..<(min(last, byteCount - 1) + 1)) : .unsatisfiable
            }
        }
    }

    /// The number, or the largest one where it does not fit: no body is that long.
    private static func clamped(_ digits: Text) -> Int {
        Int(digits.description) ?? Int.max
    }
}
