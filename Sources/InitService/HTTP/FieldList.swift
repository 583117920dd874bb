/// Comma-separated field values, RFC 9110 section 5.6.1.
enum FieldList {
    /// The elements without surrounding whitespace; empty ones are dropped; commas within quotation marks separate
    /// nothing.
    static func elements(of value: String, separator: Unicode.Scalar = ",") -> [Substring] {
        var elements: [Substring] = []
        var start = value.startIndex
        var isQuoted = false
        var isEscaped = false
        // By bytes: all that means something is ASCII.
        for index in value.utf8.indices {
            let byte = value.utf8[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: separator), !isQuoted {
                elements.append(value[start..<index])
                start = value.utf8.index(after: index)
            }
        }
        elements.append(value[start...])
        return elements.map(\.trimmed).filter { !$0.isEmpty }
    }
}

extension Substring {
    /// Without optional whitespace (spaces and tabs) at both ends.
    var trimmed: Substring {
        var text = self
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }
}

extension String {
    var trimmed: Substring { self[...].trimmed }
}
