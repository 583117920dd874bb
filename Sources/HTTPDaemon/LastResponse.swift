import Glibc
import HTTPExchange
import HTTPTypes

/// A refusal that is sent without the library, as the last bytes of its connection. It answers a length that the
/// library cannot read, or a late request.
///
/// The method may be unknown, so the body is always sent. Then the connection ends.
struct LastResponse {
    let bytes: [UInt8]
    let bodyByteCount: Int
    let status: Int
    let note: ResponseNote

    /// - Returns: `nil` if the body is not an array of bytes.
    init?(_ response: OutgoingResponse) {
        guard case .bytes(let body) = response.body else { return nil }
        bodyByteCount = body.count
        status = response.head.status.code
        note = response.note
        var head = "HTTP/1.1 \(status) \(response.head.status.reasonPhrase)\r\n"
        head += "Date: \(Self.date)\r\nConnection: close\r\nContent-Length: \(body.count)\r\n"
        for field in response.head.fields { head += "\(field.name.rawName): \(field.value)\r\n" }
        bytes = Array((head + "\r\n").utf8) + body
    }

    /// The time now, as RFC 9110 writes it.
    private static var date: String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            // The program has C's locale, whose names are English.
            let count = strftime(text.baseAddress, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
            return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// Sends as many bytes as fit without waiting.
    func send(to descriptor: Int32) {
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
}
