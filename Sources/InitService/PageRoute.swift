import HTTPExchange
import HTTPTypes

/// Pages for a browser: each is one document that asks nobody else.
enum PageRoute {
    /// A page to try the service.
    static let page = representation(
        PackageResources.page_html,
        policy: ContentSecurityPolicy.script(in: PackageResources.page_html)
    )

    /// The document that the `type` of every problem names a section of.
    static let problems: Representation = {
        let page = DocumentPage(markdown: PackageResources.problems_md).html
        return representation(page, policy: ContentSecurityPolicy.text(in: page))
    }()

    private static func representation(_ page: [UInt8], policy: String) -> Representation {
        var representation = Representation(document: page, mediaType: "text/html; charset=utf-8", caching: .hour)
        representation.fields.append(.contentSecurityPolicy, policy)
        representation.fields.append(HTTPField.Name("Referrer-Policy"), "no-referrer")
        return representation
    }
}
