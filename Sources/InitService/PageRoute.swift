internal import EmbeddedFiles
import HTTPExchange
import HTTPTypes

/// Pages for a browser. Each is one document that loads nothing from other hosts.
enum PageRoute {
    static let mediaType = "text/html; charset=utf-8"

    /// A page to try the service.
    static let page: Representation = {
        let page = EmbeddedFile.page.bytes
        return representation(page, policy: ContentSecurityPolicy.script(in: page))
    }()

    /// The document of all problems. The `type` of a problem is the URL of its section.
    static let problems = document(EmbeddedFile.problems, title: "Problems")

    /// The README as a page.
    static let readme = document(EmbeddedFile.readme, title: "README")

    private static func document(_ file: EmbeddedFile, title: String) -> Representation {
        let page = DocumentPage(markdown: file.bytes, title: title).html
        return representation(page, policy: ContentSecurityPolicy.text(in: page))
    }

    private static func representation(_ page: [UInt8], policy: String) -> Representation {
        var representation = Representation(document: page, mediaType: mediaType, caching: .hour)
        representation.fields.append(.contentSecurityPolicy, policy)
        representation.fields.append(HTTPField.Name("Referrer-Policy"), "no-referrer")
        return representation
    }
}
