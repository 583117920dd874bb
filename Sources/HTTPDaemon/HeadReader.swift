import HTTPExchange
import HTTPTypes

/// Reads the head of a request field by field, and refuses heads that two readers could understand differently.
///
/// The library takes the first of several `Content-Length` fields, ignores one beside `Transfer-Encoding`, and passes
/// unknown codings through. Each of these lets a client smuggle a request past a proxy (RFC 9112, sections 5 and 6).
struct HeadReader {
    private static let fieldLimit = 256

    /// Rules for fields of certain names.
    private struct Rule {
        /// In lower case.
        let name: String
        /// `true` for fields that carry one value; a second one is an error or an attack.
        var isSingular = true
        /// `true` for fields that decide where a request ends or which host gets it; their values must be ASCII.
        var isFraming = false
    }

    private static let rules = [
        Rule(name: "host", isFraming: true),
        Rule(name: "authorization"),
        Rule(name: "connection", isSingular: false, isFraming: true),
        Rule(name: "content-length", isFraming: true),
        Rule(name: "content-type"),
        Rule(name: "expect", isFraming: true),
        Rule(name: "if-range"),
        Rule(name: "range"),
        Rule(name: "transfer-encoding", isFraming: true),
    ]

    private static let hostName = HTTPField.Name("host")

    private(set) var fields = HeaderFields()
    private(set) var refusal: Refusal?
    private(set) var host: String?
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var expectsContinue = false
    /// One bit for each of `rules`.
    private var seen: UInt16 = 0
    private let isHTTP10: Bool

    init(isHTTP10: Bool) {
        self.isHTTP10 = isHTTP10
        // Browsers send about a dozen.
        fields.reserveCapacity(12)
    }

    /// Takes the next field. False after the first refusal.
    mutating func take(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) -> Bool {
        guard fields.count < Self.fieldLimit else {
            refusal = .tooManyFields(limit: Self.fieldLimit)
            return false
        }
        guard let fieldName = HTTPField.Name(String(decoding: name, as: UTF8.self)) else {
            return refuse("a header field's name is not a token")
        }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            return refuse("the value of \(fieldName.canonicalName) has control characters")
        }
        for index in Self.rules.indices where Self.rules[index].name == fieldName.canonicalName {
            guard keep(fieldName, value, Self.rules[index], bit: 1 << index) else { return false }
        }
        // A request keeps the host apart, as its authority.
        if fieldName != Self.hostName {
            fields.append(HTTPField(name: fieldName, value: value))
        }
        return true
    }

    /// Checks a field by its rule, and reads its value.
    private mutating func keep(
        _ name: HTTPField.Name,
        _ value: UnsafeBufferPointer<UInt8>,
        _ rule: Rule,
        bit: UInt16
    ) -> Bool {
        guard !rule.isFraming || value.allSatisfy({ $0 < 0x80 }) else {
            return refuse("the value of \(rule.name) is not ASCII")
        }
        guard rule.isSingular else { return true }
        guard seen & bit == 0 else { return refuse("more than one \(rule.name) field") }
        seen |= bit
        return interpret(name, value)
    }

    /// Checks the head as a whole.
    mutating func finish() {
        guard refusal == nil else {
            return
        }
        if isChunked && contentLength != nil {
            _ = refuse("both transfer-encoding and content-length")
        } else if isChunked && isHTTP10 {
            _ = refuse("transfer-encoding in HTTP/1.0")
        } else if host == nil && !isHTTP10 {
            _ = refuse("no host field")
        }
    }

    private mutating func interpret(_ name: HTTPField.Name, _ value: UnsafeBufferPointer<UInt8>) -> Bool {
        switch name {
        case Self.hostName:
            guard HostField.isValid(value) else {
                return refuse("the host field is not a host")
            }
            host = String(decoding: value, as: UTF8.self)
        case .contentLength:
            guard let length = Self.decimal(value) else {
                return refuse("content-length is not a number of bytes")
            }
            contentLength = length
        case .transferEncoding:
            // Not trimmed: the library does not recognise the coding if white space follows it.
            guard Self.isEqual(value, "chunked") else {
                return refuse("transfer-encoding other than chunked")
            }
            isChunked = true
        case .expect where !isHTTP10:
            guard Self.isEqual(value, "100-continue") else {
                refusal = .expectationFailed(String(decoding: value, as: UTF8.self))
                return false
            }
            expectsContinue = true
        default:
            break
        }
        return true
    }

    /// Compares bytes as the library does, ignoring the case of ASCII letters only: U+212A (KELVIN SIGN) is not equal
    /// to `k`.
    ///
    /// - Parameter word: In lower case.
    private static func isEqual(_ value: UnsafeBufferPointer<UInt8>, _ word: StaticString) -> Bool {
        guard value.count == word.utf8CodeUnitCount else { return false }
        return value.enumerated().allSatisfy { index, byte in
            let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            return (isCapital ? byte | 0x20 : byte) == word.utf8Start[index]
        }
    }

    private mutating func refuse(_ reason: String) -> Bool {
        refusal = .malformed(reason)
        return false
    }

    /// `nil` for anything but digits. A number above `Int.max` becomes `Int.max`, which is over every limit.
    private static func decimal(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
        guard !text.isEmpty, text.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int(String(decoding: text, as: UTF8.self)) ?? .max
    }
}
