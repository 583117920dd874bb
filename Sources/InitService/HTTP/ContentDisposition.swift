import ByteText
import HTTPTypes
import InitAPI

/// File name of a download: `Content-Disposition`, RFC 6266.
enum ContentDisposition {
    /// Use that a browser makes of the reply.
    enum Kind: String {
        case attachment
        /// Shown, and saved under the name if the reader asks for that.
        case inline
    }

    /// The field's value. A name that is not plain ASCII is written twice: in ASCII for old clients, and
    /// percent-encoded (RFC 8187).
    static func value(_ kind: Kind, fileName: Text) -> String {
        guard !fileName.utf8.allSatisfy(isPlain) else {
            var value = kind.rawValue
            value.reserveCapacity(kind.rawValue.utf8.count + fileName.byteCount + 16)
            value += "; filename=\""
            value += fileName.description
            value += "\""
            return value
        }
        let plain = Text(decoding: fileName.utf8.map { isPlain($0) ? $0 : UInt8(ascii: "_") })
        let encoded = PercentEncoding.encodeAttribute(fileName)
        return #"\#(kind.rawValue); filename="\#(plain)"; filename*=UTF-8''\#(encoded)"#
    }

    private static let special = ASCIISet(#""\%/"#)

    /// `true` for characters that every client reads alike within quotation marks.
    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x20..<0x7f).contains(byte) && !special.contains(byte)
    }
}
