internal import ByteText
import InitAPI

/// A `Range` field applied to a body, RFC 9110 section 14.2.
enum ByteRangeRequest: Equatable {
    /// The whole body: the request has no range, several ranges, another unit or a malformed range, or the body is
    /// empty.
    case whole
    case part(Range<Int>)
    case unsatisfiable

    init(_ fieldValue: Text?, byteCount: Int) {
        // Without this exception for an empty body, a client that asks for all of it in ranges, as caches do, would get
        // an error.
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
            // The last bytes, or all bytes if there are fewer.
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

    /// The number, or the largest integer if the number does not fit: no body is that long.
    private static func clamped(_ digits: Text) -> Int {
        Int(digits.description) ?? Int.max
    }
}
