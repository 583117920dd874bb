internal import ByteText
import Settings
import WeightInit

/// Limits on a JSON text.
package struct JSONLimits: Sendable {
    /// Arrays and objects inside one another. The parser recurses once for each, so this also bounds its stack.
    var depth = 64
    /// Values in all, at every level.
    var values = 1 << 17
    /// Bytes of one number.
    var numberBytes = 1024
    /// Bytes of the name of a member.
    var nameBytes = Limits().maximumNameLength

    package init(
        depth: Int = 64,
        values: Int = 1 << 17,
        numberBytes: Int = 1024,
        nameBytes: Int = Limits().maximumNameLength
    ) {
        self.nameBytes = nameBytes
        self.depth = depth
        self.values = values
        self.numberBytes = numberBytes
    }
}

/// Reads JSON as RFC 8259 defines it and nothing more: no byte order mark, no comma after the last element, no
/// duplicate member, no lone surrogate, no invalid UTF-8.
struct JSONParser {
    private let bytes: [UInt8]
    private let limits: JSONLimits
    private var position = 0
    private var valueCount = 0
    private var path: [Text] = []

    private init(_ bytes: [UInt8], limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    /// - Throws: `invalid` with the place of the fault, `tooLarge` for more values than `limits` allow; the path leads
    ///   to the value being read.
    static func parse(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(InitError) -> JSONValue {
        var parser = JSONParser(bytes, limits: limits)
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) {
            throw parser.fault("a byte order mark is not allowed")
        }
        parser.skipWhitespace()
        guard parser.position < bytes.count else {
            throw parser.fault("there is no value")
        }
        let value = try parser.value()
        parser.skipWhitespace()
        guard parser.position == bytes.count else {
            throw parser.fault("nothing may follow the value, found \(parser.found)")
        }
        return value
    }

    private var current: UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    private mutating func skipWhitespace() {
        while let byte = current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            position += 1
        }
    }

    /// Steps over `byte` if it is next.
    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        take(UInt8(ascii: character))
    }

    // MARK: Values

    private mutating func value() throws(InitError) -> JSONValue {
        valueCount += 1
        guard valueCount <= limits.values else {
            throw InitError(
                over: \ServiceLimits.maximumJSONValues,
                path,
                "the JSON has more than \(limits.values) values"
            )
        }
        guard let current else {
            throw fault("expected a value, found \(found)")
        }
        switch current {
        case UInt8(ascii: "{"):
            return .object(try object())
        case UInt8(ascii: "["):
            return .array(try array())
        case UInt8(ascii: "\""):
            return .string(try string())
        case UInt8(ascii: "t"):
            return try literal("true", .boolean(true))
        case UInt8(ascii: "f"):
            return try literal("false", .boolean(false))
        case UInt8(ascii: "n"):
            return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return .number(try number())
        default:
            throw fault("expected a value, found \(found)")
        }
    }

    private func checkDepth() throws(InitError) {
        // The path has one component for each array and object around this one.
        guard path.count < limits.depth else {
            var error = fault("more than \(limits.depth) arrays and objects inside one another")
            error.limit = ServiceLimits.settingName(at: \.maximumJSONDepth)
            throw error
        }
    }

    private mutating func array() throws(InitError) -> [JSONValue] {
        try checkDepth()
        position += 1
        var elements: [JSONValue] = []
        skipWhitespace()
        if take("]") { return elements }
        while true {
            path.append(Text(elements.count))
            elements.append(try value())
            guard try isFollowed(until: "]", "an element") else { return elements }
            if current == UInt8(ascii: "]") {
                throw fault("a comma may not follow the last element")
            }
        }
    }

    private mutating func object() throws(InitError) -> [JSONValue.Member] {
        try checkDepth()
        position += 1
        var members: [JSONValue.Member] = []
        var names: Set<Text> = []
        skipWhitespace()
        if take("}") { return members }
        while true {
            guard current == UInt8(ascii: "\"") else {
                throw fault(
                    current == UInt8(ascii: "}")
                        ? "a comma may not follow the last member" : "expected a member's name, found \(found)"
                )
            }
            let start = position
            let name = try string()
            guard name.byteCount <= limits.nameBytes else {
                throw InitError(
                    over: \Limits.maximumNameLength,
                    path,
                    "the name \(name.quotedForMessage) is longer than \(limits.nameBytes) bytes"
                )
            }
            path.append(name)
            guard names.insert(name).inserted else {
                throw fault("the member \(name.quotedForMessage) is given twice", at: start)
            }
            skipWhitespace()
            guard take(":") else {
                throw fault("expected : after a member's name, found \(found)")
            }
            skipWhitespace()
            members.append(JSONValue.Member(name: name, value: try value()))
            guard try isFollowed(until: "}", "a member") else { return members }
        }
    }

    /// Steps past the end of an element or a member.
    ///
    /// - Returns: `true` after a comma, `false` at the end of the array or object.
    private mutating func isFollowed(until end: Unicode.Scalar, _ item: String) throws(InitError) -> Bool {
        path.removeLast()
        skipWhitespace()
        if take(end) { return false }
        guard take(",") else {
            throw fault("expected , or \(end) after \(item), found \(found)")
        }
        skipWhitespace()
        return true
    }

    private mutating func literal(_ word: Text, _ value: JSONValue) throws(InitError) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else {
            throw fault("expected a value, found \(found)")
        }
        position += word.byteCount
        return value
    }

    private mutating func number() throws(InitError) -> Text {
        let start = position
        guard let end = JSONNumber.end(in: bytes, from: start) else {
            throw fault("a number is incomplete")
        }
        // A digit here can only follow a leading zero.
        if end < bytes.count, bytes[end].isDigit {
            throw fault("a number may not start with 0 and a further digit")
        }
        guard end - start <= limits.numberBytes else {
            throw fault("a number has more than \(limits.numberBytes) characters")
        }
        position = end
        return Text(decoding: bytes[start..<end])
    }

    // MARK: Strings

    private mutating func string() throws(InitError) -> Text {
        let start = position
        position += 1
        if let text = plainString() { return text }
        var content: [UInt8] = []
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = Text(validating: content) else {
                    throw fault("a string is not valid UTF-8", at: start)
                }
                return text
            case UInt8(ascii: "\\"):
                content.append(contentsOf: String(try escape()).utf8)
            case 0..<0x20:
                throw fault("a control character in a string must be escaped", at: position - 1)
            default:
                content.append(byte)
            }
        }
        throw fault("a string does not end", at: start)
    }

    /// A string without escapes; `nil`, without moving forward, for any other string.
    private mutating func plainString() -> Text? {
        var end = position
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
            guard bytes[end] >= 0x20, bytes[end] != UInt8(ascii: "\\") else { return nil }
            end += 1
        }
        guard end < bytes.count, let text = Text(validating: bytes[position..<end]) else { return nil }
        position = end + 1
        return text
    }

    private mutating func escape() throws(InitError) -> Unicode.Scalar {
        let start = position - 1
        guard let byte = current else {
            throw fault("a string does not end", at: start)
        }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            return try unicodeEscape(from: start)
        default:
            throw fault("unknown escape in a string", at: start)
        }
    }

    private mutating func unicodeEscape(from start: Int) throws(InitError) -> Unicode.Scalar {
        let first = try hexadecimal(from: start)
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard (0xd800..<0xdc00).contains(first), take("\\"), take("u") else {
            throw fault("half of a surrogate pair in a string", at: start)
        }
        let second = try hexadecimal(from: start)
        guard (0xdc00..<0xe000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else {
            throw fault("half of a surrogate pair in a string", at: start)
        }
        return scalar
    }

    private mutating func hexadecimal(from start: Int) throws(InitError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = current.flatMap({ Unicode.Scalar($0).hexadecimalValue }) else {
                throw fault("\\u takes four hexadecimal digits", at: start)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    // MARK: Faults

    /// The text at the position, for messages.
    private var found: String {
        guard let byte = current else { return "the end" }
        return (0x21..<0x7f).contains(byte) ? String(Unicode.Scalar(byte)) : "byte 0x" + String(byte, radix: 16)
    }

    private func fault(_ detail: String, at place: Int? = nil) -> InitError {
        let before = bytes[..<(place ?? position)]
        let line = before.count { $0 == 0x0a } + 1
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        let column = before.endIndex - lineStart + 1
        return InitError(
            .invalid,
            path,
            "not JSON (RFC 8259): \(detail), at byte \(before.endIndex) (line \(line), column \(column))"
        )
    }
}
