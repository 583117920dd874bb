import SHA2

/// Rights of a page (Content Security Policy, level 3), as the value of the header.
enum ContentSecurityPolicy {
    /// The policy of a page that runs only its own script, applies only its own style, both known by their digests, and
    /// sends requests only to its own origin.
    static func script(in page: [UInt8]) -> String {
        value(of: page, "script-src", ["connect-src 'self'", "img-src data:", "require-trusted-types-for 'script'"])
    }

    /// The policy of a page without scripts.
    static func text(in page: [UInt8]) -> String {
        value(of: page, nil, [])
    }

    private static func value(of page: [UInt8], _ script: String?, _ further: [String]) -> String {
        let text = String(decoding: page, as: UTF8.self)
        let own = script.map { ["\($0) \(digests(of: "script", in: text))"] } ?? []
        let parts =
            ["default-src 'none'"] + own + ["style-src \(digests(of: "style", in: text))"] + further
            + ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
        return parts.joined(separator: "; ")
    }

    private static func digests(of element: String, in page: String) -> String {
        page.split(separator: "<\(element)>").dropFirst()
            .compactMap { $0.split(separator: "</\(element)>", maxSplits: 1).first }
            .map { "'sha256-\(Base64.text(of: SHA256.hash(data: Array($0.utf8))))'" }
            .joined(separator: " ")
    }
}
