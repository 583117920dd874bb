import Crypto
import HTTPExchange
import HTTPTypes

/// A page to try the service in a browser: one document that asks nobody else.
enum PageRoute {
    static let page: Representation = {
        var page = Representation(
            .bytes(PackageResources.page_html),
            mediaType: "text/html; charset=utf-8",
            caching: .hour
        )
        page.isNegotiated = false
        page.fields.append(.contentSecurityPolicy, policy(for: PackageResources.page_html))
        page.fields.append(.xContentTypeOptions, "nosniff")
        page.fields.append(HTTPField.Name("Referrer-Policy"), "no-referrer")
        return page
    }()

    /// What a page may do (Content Security Policy, level 3): run the script and apply the style that stand in it, known by
    /// their digests, and ask where it came from.
    private static func policy(for page: [UInt8]) -> String {
        let text = String(decoding: page, as: UTF8.self)
        return [
            "default-src 'none'",
            "script-src \(digests(of: "script", in: text))",
            "style-src \(digests(of: "style", in: text))",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ].joined(separator: "; ")
    }

    private static func digests(of element: String, in page: String) -> String {
        page.split(separator: "<\(element)>").dropFirst()
            .compactMap { $0.split(separator: "</\(element)>", maxSplits: 1).first }
            .map { "'sha256-\(base64(SHA256.hash(data: Array($0.utf8))))'" }
            .joined(separator: " ")
    }

    /// RFC 4648, section 4.
    private static func base64(_ bytes: some Sequence<UInt8>) -> String {
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
