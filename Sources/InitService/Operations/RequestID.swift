import HTTPExchange
import HTTPTypes
import InitAPI
import Synchronization

/// IDs for requests whose client sends none.
final class RequestIDs: Sendable {
    /// Maximum length of a client's request ID, which consists of characters of a token (RFC 9110 section 5.6.2).
    private static let maximumLength = 128

    private let next = Atomic(UInt64.random(in: .min ... .max))

    /// The client's request ID, if it is well-formed and not too long.
    static func given(in fields: HeaderFields) -> String? {
        fields[HeaderFields.Further.requestID].flatMap { isSane($0) ? $0 : nil }
    }

    private static func isSane(_ id: String) -> Bool {
        (1...maximumLength).contains(id.utf8.count) && id.utf8.allSatisfy(\.isTokenCharacter)
    }

    /// A new request ID.
    @Sendable func make() -> String {
        // SplitMix64 (Steele, Lea and Flood 2014): no two counts give the same ID, and consecutive IDs look unrelated.
        var bits = next.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return String(unsafeUninitializedCapacity: 13) { text in
            // 13 digits of 5 bits are 65 bits, so the last digit has only 4.
            for index in 0..<13 {
                let digit = UInt8(truncatingIfNeeded: bits >> (5 * UInt64(index)) & 31)
                text[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            }
            return 13
        }
    }
}

/// The trace that a request belongs to: W3C Trace Context, `traceparent`.
enum TraceParent {
    /// The identifier of the trace; `nil` if a reader of the specification's version 00 would reject the header.
    static func traceID(of fields: HeaderFields) -> String? {
        guard let field = fields[HeaderFields.Further.traceParent] else { return nil }
        let parts = field.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        // Later versions may add parts behind the fourth.
        guard parts.count >= 4, parts.prefix(4).map(\.count) == [2, 32, 16, 2],
            parts.prefix(4).allSatisfy({ $0.allSatisfy(\.isLowerHexadecimal) }),
            !parts[0].elementsEqual("ff".utf8), parts.count == 4 || !parts[0].elementsEqual("00".utf8),
            !parts[1].allSatisfy({ $0 == UInt8(ascii: "0") }), !parts[2].allSatisfy({ $0 == UInt8(ascii: "0") })
        else {
            return nil
        }
        return String(Substring(parts[1]))
    }
}

extension UInt8 {
    /// RFC 9110, `tchar`.
    fileprivate var isTokenCharacter: Bool { isLetterOrDigit || "!#$%&'*+-.^_`|~".utf8.contains(self) }

    fileprivate var isLowerHexadecimal: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
    }
}
