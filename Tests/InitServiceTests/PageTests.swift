import ByteText
import Foundation
import HTTPExchange
import HTTPTypes
import InitService
import Testing

@Suite("Pages and documents")
struct PageTests {
    private let service = InitService()

    /// Requests whose problems have different types.
    static let targets = [
        "/nowhere", "/init?method=x", "/init?method=xavier_normal&shape=3", "/init?method=ones&shape=99999999999999",
        "/init?method=ones&shape=2&dtype=bfloat16&format=npy", "/a%",
    ]

    @Test("The type of a problem is a URL that the service answers", arguments: targets)
    func types(_ target: String) throws {
        let type = try #require(try service.ask(.get, target).json()["type"] as? String)
        let (page, section) = (type.split(separator: "#")[0], type.split(separator: "#")[1])
        let answer = service.ask(.get, String(page))
        #expect(answer.status == 200)
        #expect(answer["Content-Type"] == "text/html; charset=utf-8")
        #expect(answer.text.contains("<h2 id=\"\(section)\">"))
    }

    @Test("The policy of the problems page allows only its own styles")
    func policy() throws {
        let policy = try #require(service.ask(.get, "/docs/problems")["Content-Security-Policy"])
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
        #expect(!policy.contains("script-src"))
        #expect(policy.hasSuffix("base-uri 'none'; form-action 'none'; frame-ancestors 'none'"))
    }

    @Test("The page of problems has every section of the document, and no Markdown")
    func sections() throws {
        let text = service.ask(.get, "/docs/problems").text
        #expect(text.components(separatedBy: "<h2 ").count > 16)
        #expect(text.components(separatedBy: "<h1>").count == 2)
        #expect(!text.contains("`") && !text.contains("## ") && !text.contains("]("))
        #expect(text.contains("<code>application/problem+json</code>"))
    }

    /// `Accept` of a navigation in Chromium.
    private static let navigation = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"

    @Test(
        "Where nothing is found, a browser gets a page with a link",
        arguments: ["/foo", "/%3Cscript%3E", "/models/random/nothing", "/init/weight.txt?method=ones&shape=1"]
    )
    func missing(_ target: String) throws {
        let page = service.ask(.get, target, ["Accept": Self.navigation])
        #expect(page.status == 404)
        #expect(page["Content-Type"] == "text/html; charset=utf-8")
        #expect(page["Cache-Control"] == "no-store" && page["Vary"] == "Accept")
        #expect(page["Content-Security-Policy"] == service.ask(.get, "/docs/problems")["Content-Security-Policy"])
        #expect(page.text.contains("<a href=\"/\">") && !page.text.contains("<script>"))
        let head = service.ask(.head, target, ["Accept": Self.navigation])
        #expect(head.status == 404 && head.body.isEmpty && head.statedLength == page.body.count)
        #expect(head["Content-Type"] == page["Content-Type"])
    }

    @Test("The link leads to where a proxy has the service")
    func missingBelow() throws {
        var policy = ServicePolicy()
        policy.pathPrefix = PathPrefix("/weights")
        let page = InitService(policy: policy).ask(.get, "/weights/foo", ["Accept": Self.navigation])
        #expect(page.text.contains("<a href=\"/weights/\">"))
    }

    @Test(
        "Programs get the problem document",
        arguments: [nil, "*/*", "application/json", "application/json, text/html", "text/html;q=0.5, */*", "image/png"]
    )
    func missingForPrograms(_ accept: String?) throws {
        let answer = service.ask(.get, "/foo", accept.map { ["Accept": $0] } ?? [:])
        #expect(answer["Vary"] == "Accept")
        #expect(try answer.fault().detail.contains("/foo"))
    }

    @Test("Other problems are documents for a browser, too")
    func otherProblems() throws {
        #expect(try service.ask(.get, "/init?method=x", ["Accept": Self.navigation]).fault().parameter == "method")
    }

    @Test("Programs get the README as text", arguments: [nil, "*/*", "text/plain", "text/html, text/plain"])
    func readme(_ accept: String?) throws {
        let response = service.ask(.get, "/docs/readme", accept.map { ["Accept": $0] } ?? [:])
        #expect(response["Content-Type"] == "text/plain; charset=utf-8" && response["Vary"] == "Accept")
        #expect(response.text.hasPrefix("# weight-init\n"))
        #expect(service.ask(.get, "/").text.contains("href=\"docs/readme\""))
    }

    @Test("A browser gets the README as a page, without Markdown")
    func readmePage() throws {
        let page = service.ask(.get, "/docs/readme", ["Accept": Self.navigation])
        #expect(page["Content-Type"] == "text/html; charset=utf-8" && page["Vary"] == "Accept")
        #expect(page["Content-Security-Policy"] == service.ask(.get, "/docs/problems")["Content-Security-Policy"])
        #expect(page["ETag"] != service.ask(.get, "/docs/readme")["ETag"])
        let text = page.text
        #expect(text.contains("<title>README · weight-init</title>") && text.contains("<h1>weight-init</h1>"))
        for markdown in ["**", "`", "](", "|---", "\n* ", "## ", "<!--"] {
            #expect(!text.contains(markdown), "\(markdown)")
        }
        #expect(text.contains(#"<a href="problems">problem documents</a>"#))
        #expect(text.contains(#"<a href="../openapi.yaml">openapi.yaml</a>"#))
        #expect(text.contains(#"<a href="http://127.0.0.1:8080">http://127.0.0.1:8080</a>"#))
        // Code keeps its lines and its signs, escaped.
        #expect(text.contains("<pre><code>torch.manual_seed(42)\nweight = torch.empty(2, 3)\n"))
        #expect(text.contains("/init?method=xavier_uniform&amp;shape=2,3&amp;seed=42'\n{&quot;shape&quot;:"))
        #expect(text.contains("<tr><td><code>/gain</code></td><td>the gain of a nonlinearity, or of all</td></tr>"))
        #expect(text.contains(#"<th class="number">ratio</th>"#) && !text.contains("<th></th>"))
    }

    @Test("Links within the README's page lead to its sections, and other links to what the service has")
    func readmeLinks() throws {
        let text = service.ask(.get, "/docs/readme", ["Accept": Self.navigation]).text
        let links = text.matches(of: /href="([^"]+)"/).map { String($0.1) }
        #expect(links.count > 15)
        for link in links where !link.hasPrefix("https://") && !link.hasPrefix("http://") {
            if link.hasPrefix("#") {
                #expect(text.contains("id=\"\(link.dropFirst())\""), "\(link)")
            } else {
                let target = link.hasPrefix("../") ? "/" + link.dropFirst(3) : "/docs/" + link
                #expect(service.ask(.get, target).status == 200, "\(link)")
            }
        }
    }

    @Test(
        "Pages and probes need no token",
        arguments: ["/", "/docs/problems", "/docs/readme", "/livez", "/readyz", "/health"]
    )
    func open(_ target: String) throws {
        var policy = ServicePolicy()
        policy.tokens = try AccessTokens(list: Array("secret-token".utf8))
        let service = InitService(policy: policy)
        #expect(service.ask(.get, target).status == 200)
        #expect(service.ask(.get, "/version").status == 401)
        #expect(service.ask(.get, "/version", ["Authorization": "Bearer secret-token"]).status == 200)
    }

    @Test("The contract is served in JSON as well")
    func contract() throws {
        let answer = service.ask(.get, "/openapi.json")
        #expect(answer["Content-Type"] == "application/json")
        #expect(try answer.json()["openapi"] as? String == "3.1.0")
    }

    @Test("/health is readiness under the name that load balancers expect")
    func health() {
        #expect(service.ask(.get, "/health").status == 200)
        service.beginDraining()
        #expect(service.ask(.get, "/health").status == 503)
        #expect(service.ask(.get, "/health")["Retry-After"] == "1")
        #expect(service.ask(.get, "/livez").status == 200)
    }

    @Test("/version names the release and PyTorch's version")
    func version() throws {
        let answer = try service.ask(.get, "/version").json()
        #expect(answer["profile"] as? String == "torch-2.13")
        #expect((answer["version"] as? String)?.isEmpty == false)
    }
}

@Suite("Behind a proxy's path")
struct PathPrefixTests {
    private func service(_ prefix: String) throws -> InitService {
        var policy = ServicePolicy()
        let pathPrefix: PathPrefix = try #require(PathPrefix(Text(prefix)))
        policy.pathPrefix = pathPrefix
        return InitService(policy: policy)
    }

    @Test("Requests are answered with and without the prefix", arguments: ["/weights", "/a/b.c~d_e-f"])
    func both(_ prefix: String) throws {
        let service = try service(prefix)
        for target in ["/gain?nonlinearity=relu", "/", "/openapi.json"] {
            let answer = service.ask(.get, target)
            #expect(answer.status == 200)
            #expect(service.ask(.get, prefix + target).text == answer.text)
        }
        #expect(service.ask(.get, prefix + "x/gain").status == 404)
        #expect(service.ask(.get, prefix + prefix + "/gain").status == 404)
    }

    @Test(
        "The prefix without a slash redirects to the page, because relative URLs need the slash",
        arguments: ["/weights", "/weights?x=1"]
    )
    func redirect(_ target: String) throws {
        let service = try service("/weights")
        let answer = service.ask(.get, target)
        #expect(answer.status == 308)
        #expect(answer["Location"] == "/weights/")
        service.ended(ExchangeEnd(method: .get, status: answer.status, note: nil))
        let count = "http_server_request_duration_seconds_count{route=\"other\",status=\"308\"} 1\n"
        #expect(service.ask(.get, "/metrics").text.contains(count))
    }

    @Test("URLs in replies have the prefix")
    func addresses() throws {
        let service = try service("/weights")
        let answer = service.post("/init", #"{"method":"ones","shape":[2]}"#)
        #expect(answer["Content-Location"] == "/weights/init?method=ones&shape=2&format=json")
        #expect(try service.ask(.get, "/weights/x").json()["type"] as? String == "/weights/docs/problems#not-found")
    }

    @Test(
        "An invalid path is refused as a prefix",
        arguments: [
            "", "/", "weights", "/weights/", "/a//b", "/a?b=1", "/a#b", "/../x", "/.", "/a b", "/ä", "//host", "/%41",
        ]
    )
    func invalid(_ text: String) {
        #expect(PathPrefix(Text(text)) == nil)
    }
}

@Suite("Times and traces")
struct TimingTests {
    @Test("Responses have Server-Timing if it is configured")
    func timing() throws {
        #expect(InitService().ask(.get, "/gain")["Server-Timing"] == nil)
        var policy = ServicePolicy()
        policy.timesResponses = true
        let service = InitService(policy: policy)
        let short = try #require(service.ask(.get, "/gain")["Server-Timing"])
        #expect(short.wholeMatch(of: /plan;dur=\d+\.\d{3}/) != nil)
        let long = service.ask(.get, "/init?method=orthogonal&shape=300,300&format=raw")
        #expect(long.wasDeferred)
        let field = try #require(long["Server-Timing"])
        #expect(field.wholeMatch(of: /plan;dur=\d+\.\d{3}, queue;dur=\d+\.\d{3}, make;dur=\d+\.\d{3}/) != nil)
    }

    @Test("A response belongs to its request's trace")
    func trace() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        #expect(InitService().ask(.get, "/gain", ["traceparent": given])["traceparent"] == given)
        #expect(InitService().ask(.get, "/gain", ["traceparent": "00-x"])["traceparent"] == nil)
        #expect(InitService().ask(.get, "/gain")["traceparent"] == nil)
    }
}
