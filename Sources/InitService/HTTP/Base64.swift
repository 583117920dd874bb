/// The base64 alphabet and padding of RFC 4648, section 4.
enum Base64 {
    static func text(of bytes: some Sequence<UInt8>) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var (text, pending, bits) = ("", 0, 0)
        for byte in bytes {
            (pending, bits) = (pending << 8 | Int(byte), bits + 8)
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[pending >> bits & 63])
            }
            pending &= (1 << bits) - 1
        }
        if bits > 0 { text.append(alphabet[pending << (6 - bits) & 63]) }
        return text + String(repeating: "=", count: (4 - text.count % 4) % 4)
    }
}
