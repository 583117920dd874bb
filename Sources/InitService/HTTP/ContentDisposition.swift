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

    /// The field's value. A name beyond plain ASCII is there twice: in ASCII for old readers, and percent-encoded (RFC 8187).
    static func value(_ kind: Kind, fileName: Text) -> String {
        let plain = Text(decoding: fileName.utf8.map { isPlain($0) ? $0 : UInt8(ascii: "_") })
        let field = #"\#(kind.rawValue); filename="\#(plain)""#
        guard plain != fileName else { return field }
        return field + "; filename*=UTF-8''\(PercentEncoding.encodeAttribute(fileName))"
    }

    /// `true` for characters that mean the same to every reader within quotation marks.
    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x20..<0x7f).contains(byte) && !#""\%/"#.utf8.contains(byte)
    }
}
