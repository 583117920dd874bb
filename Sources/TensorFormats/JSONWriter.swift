public import ByteText
public import WeightInit

/// A value that can be written as JSON.
public protocol JSONWritable {
    /// Appends exactly one value.
    func write(to writer: inout JSONWriter)
}

/// Writes JSON (RFC 8259) to a growing buffer, without spaces, members in the order they are given.
///
/// The writer adds commas and colons. The caller ends what it begins, and gives each member a name.
///
/// Strings are UTF-8; only `"`, `\` and the characters below U+0020 are escaped, by a two-character escape if there is
/// one. A number is written as ``NumberText`` says, so that it reads back as the same bits. Infinities and NaN are the
/// strings `"inf"`, `"-inf"` and `"nan"`.
public struct JSONWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// `true` if the next value in the innermost list or object follows another.
    private var followsValue = false

    public init() {
        bytes.reserveCapacity(Self.commonBytes)
    }

    /// Bytes of nearly all texts: room for them from the start spares most texts several larger and larger buffers.
    private static let commonBytes = 512

    /// Takes the bytes written so far. Later output continues behind them.
    public mutating func takeBytes() -> [UInt8] {
        defer { bytes.removeAll() }
        return bytes
    }

    public mutating func beginObject() { begin(UInt8(ascii: "{")) }
    public mutating func endObject() { end(UInt8(ascii: "}")) }
    public mutating func beginArray() { begin(UInt8(ascii: "[")) }
    public mutating func endArray() { end(UInt8(ascii: "]")) }

    public mutating func object<E>(_ members: (inout JSONWriter) throws(E) -> Void) throws(E) {
        beginObject()
        try members(&self)
        endObject()
    }

    public mutating func array<E>(_ elements: (inout JSONWriter) throws(E) -> Void) throws(E) {
        beginArray()
        try elements(&self)
        endArray()
    }

    /// A member whose value is an object.
    public mutating func object<E>(_ name: Text, _ members: (inout JSONWriter) throws(E) -> Void) throws(E) {
        key(name)
        try object(members)
    }

    /// A member whose value is a list.
    public mutating func array<E>(_ name: Text, _ elements: (inout JSONWriter) throws(E) -> Void) throws(E) {
        key(name)
        try array(elements)
    }

    /// The name of the member whose value comes next.
    public mutating func key(_ name: Text) {
        separate()
        appendQuoted(name)
        bytes.append(UInt8(ascii: ":"))
        followsValue = false
    }

    public mutating func member(_ name: Text, _ value: some JSONWritable) {
        key(name)
        value.write(to: &self)
    }

    public mutating func value(_ value: some JSONWritable) {
        value.write(to: &self)
    }

    public mutating func null() {
        raw("null" as Text)
    }

    /// A value that is JSON text already.
    public mutating func raw(_ json: some Sequence<UInt8>) {
        separate()
        bytes.append(contentsOf: json)
        followsValue = true
    }

    /// A value that is JSON text already.
    public mutating func raw(_ json: Text) {
        separate()
        json.append(to: &bytes)
        followsValue = true
    }

    fileprivate mutating func string(_ text: Text) {
        separate()
        appendQuoted(text)
        followsValue = true
    }

    fileprivate mutating func number(_ value: Double) {
        separate()
        bytes += [UInt8](unsafeUninitializedCapacity: NumberText.room) { buffer, count in
            guard let start = UnsafeMutableRawPointer(buffer.baseAddress) else { return }
            count = Float64Element.write(value.bitPattern, powers: .shared, to: start) - start
        }
        followsValue = true
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        followsValue = false
    }

    private mutating func end(_ bracket: UInt8) {
        bytes.append(bracket)
        followsValue = true
    }

    private mutating func separate() {
        if followsValue { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func appendQuoted(_ text: Text) {
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text)
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ text: Text) {
        let begin = bytes.count
        text.append(to: &bytes)
        // The search is in the buffer, where it costs less than in the text. Few texts need an escape.
        guard bytes[begin...].contains(where: Self.isEscaped) else { return }
        // Pieces between escapes are appended whole: a request as text has megabytes of literals.
        let utf8 = Array(bytes[begin...])
        bytes.removeSubrange(begin...)
        var start = 0
        for (index, byte) in utf8.enumerated() where Self.isEscaped(byte) {
            bytes.append(contentsOf: utf8[start..<index])
            appendEscape(byte)
            start = index + 1
        }
        bytes.append(contentsOf: utf8[start...])
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
        case 0x08: bytes.append(contentsOf: #"\b"#.utf8)
        case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
        case 0x0a: bytes.append(contentsOf: #"\n"#.utf8)
        case 0x0c: bytes.append(contentsOf: #"\f"#.utf8)
        case 0x0d: bytes.append(contentsOf: #"\r"#.utf8)
        default:
            let digits = String(byte, radix: 16)
            bytes.append(contentsOf: (byte < 0x10 ? #"\u000"# : #"\u00"#).utf8)
            bytes.append(contentsOf: digits.utf8)
        }
    }
}

extension String: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.string(Text(self)) }
}

extension Text: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.string(self) }
}

extension Bool: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.raw(self ? "true" as Text : "false") }
}

extension Int: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.raw(Text(self)) }
}

extension Int64: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.raw(Text(self)) }
}

extension UInt32: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.raw(Text(self)) }
}

extension UInt64: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.raw(Text(self)) }
}

extension Double: JSONWritable {
    public func write(to writer: inout JSONWriter) { writer.number(self) }
}

extension Optional: JSONWritable where Wrapped: JSONWritable {
    /// `null` for `nil`.
    public func write(to writer: inout JSONWriter) {
        if let self { self.write(to: &writer) } else { writer.null() }
    }
}

extension Array: JSONWritable where Element: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.array { writer in
            for element in self { element.write(to: &writer) }
        }
    }
}

extension Shape: JSONWritable {
    public func write(to writer: inout JSONWriter) { dimensions.write(to: &writer) }
}

extension DType: JSONWritable {
    public func write(to writer: inout JSONWriter) { rawValue.write(to: &writer) }
}
