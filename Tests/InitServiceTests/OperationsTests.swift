import ByteText
import ByteSource
import Foundation
import HTTPExchange
import HTTPTypes
import InitService
import Testing

@Suite("Tokens, CORS, request IDs and metrics")
struct OperationsTests {
    private func service(_ change: (inout ServicePolicy) throws -> Void) rethrows -> InitService {
        var policy = ServicePolicy()
        try change(&policy)
        return InitService(policy: policy)
    }

    private func guarded(_ list: String = "first\n# a comment\n\n  second-._~+/==  \r\n") throws -> InitService {
        try service { $0.tokens = try AccessTokens(list: Array(list.utf8)) }
    }

    // MARK: Tokens

    @Test("Routes and unknown paths need a token of the file", arguments: ["first", "second-._~+/=="])
    func tokens(_ token: String) throws {
        let service = try guarded()
        let targets = [
            "/gain", "/init?method=ones&shape=2", "/methods", "/openapi.yaml", "/metrics", "/nowhere", "/%2F",
        ]
        for target in targets {
            let refused = service.ask(.get, target)
            #expect(refused.status == 401)
            #expect(refused["WWW-Authenticate"] == #"Bearer realm="weight-init""#)
            #expect(try refused.fault().allowed.isEmpty)
            for scheme in ["Bearer ", "bearer ", "BEARER  "] {
                let accepted = service.ask(.get, target, ["Authorization": scheme + token])
                #expect(
                    accepted.status == (target == "/nowhere" || target == "/%2F" ? 404 : 200),
                    "\(scheme) \(target)"
                )
            }
        }
    }

    @Test(
        "Other credentials are refused",
        arguments: [
            "Bearer first,second", "Bearer first second-._~+/==", "Bearer firs", "Bearer firstt", "Bearer First",
            "Bearer # a comment", "Bearer a comment", "Bearer fi\u{301}rst", "Bearer second-._~+/=",
        ]
    )
    func wrong(_ credentials: String) throws {
        let refused = try guarded().ask(.get, "/gain", ["Authorization": credentials])
        #expect(refused.status == 401)
        #expect(refused["WWW-Authenticate"] == #"Bearer realm="weight-init", error="invalid_token""#)
        #expect(try refused.fault().detail == "this service does not accept the token")
        #expect(!refused.text.contains("first"))
    }

    // RFC 6750, section 3.1: another scheme gets no error code.
    @Test(
        "A header without a bearer token is refused with the scheme that it needs",
        arguments: ["", "Bearer", "Bearer ", "Basic first", "Token first", "first", "Bearerfirst"]
    )
    func schemes(_ credentials: String) throws {
        let refused = try guarded().ask(.get, "/gain", ["Authorization": credentials])
        #expect(refused.status == 401)
        #expect(refused["WWW-Authenticate"] == #"Bearer realm="weight-init""#)
        #expect(try refused.fault().detail.hasSuffix("must be Authorization: Bearer …"))
        #expect(!refused.text.contains("first"))
    }

    @Test("Probes and preflights need no token")
    func open() throws {
        let service = try guarded()
        for path in ["/livez", "/readyz"] {
            #expect(service.ask(.get, path).status == 200)
            #expect(service.ask(.head, path).status == 200)
        }
        #expect(service.ask(.options, "/init").status == 204)
        #expect(service.ask(.options, "*").status == 204)
        #expect(service.ask(.post, "/init", body: Array("{}".utf8)).status == 401)
        #expect(service.ask(.head, "/gain").status == 401)
    }

    @Test("With tokens, cacheable replies are private, and others stay uncacheable")
    func privacy() throws {
        let service = try guarded()
        let token = ["Authorization": "Bearer first"]
        #expect(service.ask(.get, "/gain", token)["Cache-Control"] == "private, max-age=3600")
        let forever = "private, max-age=31536000, immutable"
        let now = service.ask(.get, "/init?method=normal&shape=4", token)
        #expect(now["Cache-Control"] == forever)
        let tag = try #require(now["ETag"])
        let unmodified = service.ask(
            .get,
            "/init?method=normal&shape=4",
            token.merging(["If-None-Match": tag]) { $1 }
        )
        #expect(unmodified.status == 304 && unmodified["Cache-Control"] == forever)
        let later = service.ask(.get, "/init?method=orthogonal&shape=4,4", token)
        #expect(later.wasDeferred && later["Cache-Control"] == forever)
        #expect(service.ask(.get, "/livez", token)["Cache-Control"] == "no-store")
        #expect(InitService().ask(.get, "/gain")["Cache-Control"] == "public, max-age=3600")
    }

    @Test(
        "A list without tokens, or with an invalid line, is refused without printing the line",
        arguments: [
            ("", "the list has no token"), ("\n\n", "the list has no token"),
            ("# only\n #this", "the list has no token"),
            ("good\nsecret two", "line 2 has characters that a token cannot have"),
            ("secret\u{0}", "line 1 has characters that a token cannot have"),
            ("sécret", "line 1 has characters that a token cannot have"),
            ("\u{FEFF}secret", "line 1 has characters that a token cannot have"),
        ]
    )
    func badLists(_ list: String, _ sentence: String) {
        #expect(throws: AccessTokens.Fault.self) { try AccessTokens(list: Array(list.utf8)) }
        do {
            _ = try AccessTokens(list: Array(list.utf8))
        } catch {
            #expect(error.description == sentence)
        }
    }

    @Test("Tokens are replaced all at once or not at all")
    func replacement() throws {
        let tokens = try AccessTokens(list: Array("old".utf8))
        let service = service { $0.tokens = tokens }
        let status = { (token: String) in service.ask(.get, "/gain", ["Authorization": "Bearer \(token)"]).status }
        #expect(status("old") == 200 && status("new") == 401)
        try tokens.replace(by: Array("new\nnewer".utf8))
        #expect(status("old") == 401 && status("new") == 200 && status("newer") == 200)
        #expect(throws: AccessTokens.Fault.self) { try tokens.replace(by: Array("other\nb d".utf8)) }
        #expect(status("other") == 401 && status("new") == 200)
    }

    // MARK: CORS

    private static let readable =
        "ETag, Content-Disposition, Content-Range, Content-Location, Accept-Ranges, Repr-Digest, Retry-After, Server-Timing, "
        + "traceparent, X-Error-Code, X-Error-Message, X-Repo-Commit, X-Request-Id, X-Tensor-Shape, X-Tensor-Dtype"

    @Test("Listed origins may read replies, others may not, and Vary tells caches")
    func origins() throws {
        let service = service { $0.crossOrigin = CrossOrigin(list: "https://a.example, http://localhost:3000") }
        for origin in ["https://a.example", "http://localhost:3000"] {
            for target in ["/init?method=ones&shape=2", "/init?method=orthogonal&shape=2,2", "/nowhere", "/livez"] {
                let answer = service.ask(.get, target, ["Origin": origin])
                #expect(answer["Access-Control-Allow-Origin"] == origin, "\(target)")
                #expect(answer["Access-Control-Expose-Headers"] == Self.readable)
                #expect(answer["Vary"] == (target == "/livez" ? "Origin" : "Accept, Origin"))
            }
        }
        for origin in [
            "https://b.example", "http://a.example", "https://a.example:443", "null", "https://a.example, x",
        ] {
            let answer = service.ask(.get, "/gain", ["Origin": origin])
            #expect(answer.status == 200)
            #expect(answer["Access-Control-Allow-Origin"] == nil && answer["Access-Control-Expose-Headers"] == nil)
            #expect(answer["Vary"] == "Accept, Origin")
        }
        #expect(service.ask(.get, "/gain")["Vary"] == "Accept, Origin")
        let plain = InitService().ask(.get, "/gain", ["Origin": "https://a.example"])
        #expect(plain["Vary"] == "Accept" && plain["Access-Control-Allow-Origin"] == nil)
    }

    @Test("A preflight lists the accepted methods and fields, and needs no token")
    func preflight() throws {
        let service = try service {
            $0.crossOrigin = CrossOrigin(list: "*")
            $0.tokens = try AccessTokens(list: Array("t".utf8))
        }
        let asked = ["Origin": "https://a.example", "Access-Control-Request-Method": "POST"]
        let answer = service.ask(.options, "/init", asked)
        #expect(answer.status == 204)
        #expect(answer["Access-Control-Allow-Origin"] == "*")
        #expect(answer["Vary"] == nil)
        #expect(answer["Access-Control-Allow-Methods"] == "GET, HEAD, POST, OPTIONS")
        let fields = answer["Access-Control-Allow-Headers"]?.split(separator: ", ").map { $0.lowercased() } ?? []
        for field in ["authorization", "content-type", "range", "want-repr-digest", "x-request-id", "traceparent"] {
            #expect(fields.contains(field))
        }
        #expect(answer["Access-Control-Max-Age"] == "86400")
        #expect(service.ask(.options, "/livez", asked)["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS")
    }

    @Test(
        "An invalid list of origins is refused",
        arguments: [
            "", ",", "example.org", "https://", "https://a.example/", "https://a.example/path", "*, https://a.example",
            "https://A.example", "ftp://a.example", "https://a.example https://b.example", "null",
            "https://ex\u{e4}mple",
        ]
    )
    func badOrigins(_ list: String) {
        #expect(CrossOrigin(list: Text(list)) == nil)
    }

    // MARK: Request IDs

    @Test(
        "A valid X-Request-Id is returned",
        arguments: [
            "a", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "!#$%&'*+-.^_`|~09azAZ", String(repeating: "x", count: 128),
        ]
    )
    func sane(_ id: String) {
        let service = InitService()
        for target in ["/gain", "/init?method=orthogonal&shape=2,2", "/nowhere", "/livez"] {
            #expect(service.ask(.get, target, ["X-Request-Id": id])["X-Request-Id"] == id)
        }
    }

    @Test(
        "An invalid X-Request-Id is replaced",
        arguments: [
            nil, "", " ", "a b", "a,b", "a\"b", "{\"a\":1}", "\u{1b}[31m", "caf\u{e9}", "a/b",
            String(repeating: "x", count: 129),
        ]
    )
    func made(_ id: String?) throws {
        let service = InitService()
        var seen: Set<String> = []
        for _ in 0..<100 {
            let made = try #require(service.ask(.get, "/livez", id.map { ["X-Request-Id": $0] } ?? [:])["X-Request-Id"])
            #expect(made.wholeMatch(of: /[0-9a-v]{13}/) != nil)
            seen.insert(made)
        }
        #expect(seen.count == 100)
    }

    @Test("A publicly cacheable reply may come from the reply cache, with a new request ID")
    func naming() throws {
        let targets = [
            "/gain", "/gain?nonlinearity=relu", "/fan?shape=2,3", "/methods", "/init?method=ones&shape=2&format=raw",
        ]
        for target in targets {
            let response = try ready(InitService(), target)
            let naming = try #require(response.naming)
            #expect(naming.field.rawName == "X-Request-Id")
            #expect(response.head.fields[naming.field] == response.note.id)
            let names = (0..<100).map { _ in naming.makeID() } + [response.note.id]
            #expect(Set(names).count == 101)
            #expect(names.allSatisfy { $0.wholeMatch(of: /[0-9a-v]{13}/) != nil })
        }
    }

    @Test("Other replies must not come from the reply cache")
    func nameless() throws {
        let service = InitService()
        let tensor = "/init?method=ones&shape=2&format=raw"
        for target in ["/livez", "/readyz", "/metrics", "/nowhere", "/gain?nonlinearity=rleu"] {
            #expect(try ready(service, target).naming == nil, "\(target)")
        }
        #expect(try ready(service, tensor, .head).naming == nil)
        #expect(try ready(service, tensor, fields: ["X-Request-Id": "mine"]).naming == nil)
        #expect(try ready(service, tensor, fields: ["Range": "bytes=0-3"]).naming == nil)
        let tag = try #require(try ready(service, tensor).head.fields[.eTag])
        #expect(try ready(service, tensor, fields: ["If-None-Match": tag]).naming == nil)
        // A token may be revoked.
        var policy = ServicePolicy()
        policy.tokens = try AccessTokens(list: Array("secret".utf8))
        let authorized = try ready(InitService(policy: policy), tensor, fields: ["Authorization": "Bearer secret"])
        #expect(authorized.head.status == .ok && authorized.naming == nil)
    }

    private func ready(
        _ service: InitService,
        _ target: String,
        _ method: HTTPRequest.Method = .get,
        fields: [String: String] = [:]
    ) throws -> OutgoingResponse {
        var head = RequestHead(method: method, target: target)
        for (name, value) in fields { head.fields[try #require(HTTPField.Name(name))] = value }
        guard case .ready(let response) = service.respond(to: IncomingRequest(head: head)) else {
            throw NotReady()
        }
        return response
    }

    private struct NotReady: Error {}

    @Test("Refusals of the transport have request IDs and count under their route")
    func refusals() throws {
        let service = InitService()
        var head = RequestHead(method: .post, target: "/init")
        head.fields[try #require(HTTPField.Name("X-Request-Id"))] = "mine"
        let response = service.refuse(.bodyTooLarge(limit: 5), head: head)
        #expect(Answer(response)["X-Request-Id"] == "mine")
        #expect(response.note == ResponseNote(route: "/init", id: "mine", problem: "over-limit"))
        head.target = "/\u{0}%%%"
        #expect(service.refuse(.malformed("x"), head: head).note.route == "other")
    }

    @Test(
        "Metrics count refusals because of full queues or memory by option",
        arguments: zip(
            Saturation.allCases,
            ["work-queue", "work-timeout", "max-work-bytes", "max-body-memory", "max-upload-memory", "unavailable"]
        )
    )
    func saturation(_ saturation: Saturation, _ reason: String) throws {
        let service = InitService()
        let head = RequestHead(method: .get, target: "/init")
        let response = service.refuse(.saturated(saturation, retryAfterSeconds: 1), head: head)
        #expect(response.head.status == .serviceUnavailable && response.note.problem == reason)
        service.ended(ExchangeEnd(method: .get, status: 503, note: response.note))
        let line = "weight_init_rejected_requests_total{reason=\"\(reason)\"} 1\n"
        #expect(service.ask(.get, "/metrics").text.contains(line))
    }

    // MARK: Metrics on their own port

    @Test("Metrics with their own port are not on the service's port, and need no token")
    func metricsApart() throws {
        let service = try service {
            $0.metricsAreApart = true
            $0.tokens = try AccessTokens(list: Array("t".utf8))
        }
        let elsewhere = service.ask(.get, "/metrics", ["Authorization": "Bearer t"])
        #expect(elsewhere.status == 404)
        #expect(try elsewhere.fault().detail == "/metrics is served on the metrics port (--metrics-port) alone")
        #expect(try !elsewhere.fault().allowed.contains("/metrics"))
        let apart = MetricsService(of: service)
        func status(_ path: String) throws -> Int {
            let head = RequestHead(method: .get, target: path)
            guard case .ready(let response) = apart.respond(to: IncomingRequest(head: head)) else { return 0 }
            return response.head.status.code
        }
        #expect(try status("/metrics") == 200)
        #expect(try status("/readyz") == 200 && status("/livez") == 200)
        #expect(try status("/gain") == 404 && status("/init?method=ones&shape=2") == 404)
        service.beginDraining()
        #expect(try status("/readyz") == 503 && status("/metrics") == 200)
    }
}
