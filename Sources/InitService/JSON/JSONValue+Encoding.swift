import TensorFormats

extension JSONValue: JSONWritable {
    func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .boolean(let value): writer.value(value)
        case .number(let text): writer.raw(text.utf8)
        case .string(let text): writer.value(text)
        case .array(let elements): writer.value(elements)
        case .object(let members):
            writer.object { writer in
                for member in members { writer.member(member.name, member.value) }
            }
        }
    }

    /// Compact JSON.
    var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }

    package var encodedText: String {
        String(decoding: encoded, as: UTF8.self)
    }
}
