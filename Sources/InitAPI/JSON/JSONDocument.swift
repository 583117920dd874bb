internal import ByteText
import ByteSource
import TensorFormats

/// A JSON object that is written piece by piece: members, and lists whose elements are made one after the other.
///
/// The long object of a large model thus takes little memory while it is sent.
package struct JSONDocument: Sendable {
    fileprivate enum Part: Sendable {
        case members([JSONValue.Member])
        case list(name: Text, count: Int, element: @Sendable (_ index: Int) -> JSONValue)
    }

    fileprivate var parts: [Part]

    init(_ members: [JSONValue.Member]) {
        parts = [.members(members)]
    }

    /// - Returns: `nil` unless the value is an object.
    init?(_ value: JSONValue) {
        guard case .object(let members) = value else { return nil }
        self.init(members)
    }

    mutating func append(_ members: [JSONValue.Member]) {
        parts.append(.members(members))
    }

    /// Adds a member whose value is a list.
    ///
    /// - Parameter element: Makes an element when it is written.
    mutating func append(_ name: Text, count: Int, _ element: @escaping @Sendable (_ index: Int) -> JSONValue) {
        parts.append(.list(name: name, count: count, element: element))
    }

    /// The object as a value, whole in memory.
    package var value: JSONValue {
        .object(
            parts.flatMap { part in
                switch part {
                case .members(let members): members
                case .list(let name, let count, let element):
                    [JSONValue.Member(name: name, value: .array((0..<count).map(element)))]
                }
            }
        )
    }

    /// The object's text; `nil` if it is longer than `limit` bytes.
    func encoded(limit: Int) -> [UInt8]? {
        var encoder = JSONDocumentEncoder(self)
        var text: [UInt8] = []
        while let piece = encoder.next() {
            text += piece
            guard text.count <= limit else { return nil }
        }
        return text
    }

    /// The object's text, made as it is read.
    func makeStream() -> any ByteStream {
        JSONDocumentStream(JSONDocumentEncoder(self))
    }
}

/// Writes a document piece by piece: a run of members, or a few elements of a list.
private struct JSONDocumentEncoder {
    /// Bytes after which a piece ends.
    private static let pieceBytes = 4 << 10

    private let document: JSONDocument
    private var writer = JSONWriter()
    private var part = 0
    /// Index of the next element; `nil` outside a list.
    private var element: Int?
    private var isAtEnd = false

    init(_ document: JSONDocument) {
        self.document = document
        writer.beginObject()
    }

    /// The next bytes; `nil` at the end.
    mutating func next() -> [UInt8]? {
        guard !isAtEnd else { return nil }
        while writer.bytes.count < Self.pieceBytes {
            guard part < document.parts.count else {
                writer.endObject()
                isAtEnd = true
                break
            }
            switch document.parts[part] {
            case .members(let members):
                for member in members { writer.member(member.name, member.value) }
                part += 1
            case .list(let name, let count, let make):
                if element == nil {
                    writer.key(name)
                    writer.beginArray()
                }
                let index = element ?? 0
                if index < count {
                    writer.value(make(index))
                    element = index + 1
                } else {
                    writer.endArray()
                    element = nil
                    part += 1
                }
            }
        }
        return writer.takeBytes()
    }
}

private final class JSONDocumentStream: ByteStream {
    private var encoder: JSONDocumentEncoder
    private var piece: [UInt8] = []
    /// Bytes of the piece that have been read.
    private var position = 0

    init(_ encoder: JSONDocumentEncoder) {
        self.encoder = encoder
    }

    func read(into destination: inout MutableRawSpan) -> Int? {
        if position == piece.count {
            guard let next = encoder.next() else { return nil }
            (piece, position) = (next, 0)
        }
        let piece = piece
        let count = destination.copy(piece.span.bytes.extracting(position...))
        position += count
        return count
    }
}
