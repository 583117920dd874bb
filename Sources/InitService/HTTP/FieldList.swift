internal import ByteText

/// Comma-separated field values, RFC 9110 section 5.6.1.
enum FieldList {
    /// The elements without surrounding whitespace. Empty elements are dropped, and separators within quotation marks
    /// are ignored.
    static func elements(of value: Text, separator: Unicode.Scalar = ",") -> [Text] {
        let bytes = value.utf8
        var elements: [Text] = []
        var start = bytes.startIndex
        var isQuoted = false
        var isEscaped = false
        func add(upTo end: String.UTF8View.Index) {
            let element = Text(Substring(bytes[start..<end])).trimmed
            if !element.isEmpty { elements.append(element) }
        }
        for index in bytes.indices {
            let byte = bytes[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: separator), !isQuoted {
                add(upTo: index)
                start = bytes.index(after: index)
            }
        }
        add(upTo: bytes.endIndex)
        return elements
    }
}
