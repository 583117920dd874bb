import SHA2
import Foundation
import GoldenVectors
import HTTPExchange
import HTTPTypes
import InitService
import Testing

@Suite("Routes")
struct RouteTests {
    let service = InitService()

    // MARK: Dispatch

    @Test(
        "An unknown path gets 404 and the nearest path",
        arguments: [("/gian", "/gain"), ("/init/", "/init"), ("/method", "/methods")]
    )
    func notFound(_ path: String, _ nearest: String) throws {
        let answer = service.ask(.get, path)
        #expect(answer.status == 404)
        let fault = try answer.fault()
        #expect(fault.allowed.first == nearest)
        #expect(fault.detail.contains("did you mean \(nearest)?"))
    }

    @Test(
        "A method that a path does not accept gets 405, and Allow lists the accepted ones",
        arguments: [
            (HTTPRequest.Method.put, "/init", "GET, HEAD, POST, OPTIONS"),
            (.delete, "/gain", "GET, HEAD, POST, OPTIONS"),
            (.post, "/livez", "GET, HEAD, OPTIONS"),
            (.post, "/methods", "GET, HEAD, OPTIONS"),
            (.trace, "/fan", "GET, HEAD, POST, OPTIONS"),
        ]
    )
    func methodNotAllowed(_ method: HTTPRequest.Method, _ path: String, _ allow: String) throws {
        let answer = service.ask(method, path)
        #expect(answer.status == 405)
        #expect(answer["Allow"] == allow)
        _ = try answer.fault()
        let options = service.ask(.options, path)
        #expect(options.status == 204)
        #expect(options["Allow"] == allow)
        #expect(service.ask(.options, "*").status == 204)
        #expect(service.ask(.get, "*").status == 404)
    }

    // MARK: Negotiation

    @Test(
        "The format is the client's preferred one",
        arguments: [
            (nil, "application/json"),
            ("", "application/json"),
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
            ("application/octet-stream", "application/octet-stream"),
            ("Application/X-NPY", "application/x-npy"),
            ("application/json;q=0.5, application/x-safetensors", "application/x-safetensors"),
            ("application/json;q=0.5, application/x-npy;q=0.50", "application/json"),
            ("*/*, application/json;q=0", "application/octet-stream"),
            ("*/*;q=0.1, application/x-npy;q=0.2", "application/x-npy"),
            ("application/*;q=0.1, application/x-npy;q=0", "application/json"),
            ("application/json; charset=utf-8", "application/json"),
            ("application/x-npy;q=2, application/x-safetensors", "application/x-safetensors"),
            ("nonsense, application/x-npy", "application/x-npy"),
            ("application/x-npy;q=0., application/octet-stream;q=1.", "application/octet-stream"),
        ] as [(String?, String)]
    )
    func negotiation(_ accept: String?, _ mediaType: String) {
        let answer = service.ask(.get, "/init?method=zeros&shape=2", accept.map { ["Accept": $0] } ?? [:])
        #expect(answer.status == 200)
        #expect(answer["Content-Type"] == mediaType)
    }

    @Test(
        "406 lists the offered media types",
        arguments: ["text/html", "*/*;q=0", "application/json;q=0", "image/*"]
    )
    func notAcceptable(_ accept: String) throws {
        let answer = service.ask(.get, "/init?method=zeros&shape=2", ["Accept": accept + ", text/plain"])
        #expect(answer.status == 406)
        #expect(
            try answer.fault().allowed
                == ["application/json", "application/octet-stream", "application/x-npy", "application/x-safetensors"]
        )
        for path in ["/gain", "/fan?shape=2,2", "/explain?method=zeros&shape=2", "/methods"] {
            let answer = service.ask(.get, path, ["Accept": accept + ", text/plain"])
            #expect(answer.status == 406)
            #expect(try answer.fault().allowed == ["application/json"])
        }
        // A format in the request overrides Accept.
        #expect(service.ask(.get, "/init?method=zeros&shape=2&format=npy", ["Accept": accept]).status == 200)
    }

    @Test("The format npy refuses bfloat16")
    func bfloat16() throws {
        let target = "/init?method=zeros&shape=2&dtype=bfloat16"
        let named = service.ask(.get, target + "&format=npy")
        #expect(named.status == 406)
        let fault = try named.fault()
        #expect(fault.parameter == "format")
        #expect(fault.detail.contains("bfloat16"))
        #expect(fault.allowed == ["json", "raw", "safetensors", "summary"])
        let accepted = service.ask(.get, target, ["Accept": "application/x-npy"])
        #expect(accepted.status == 406)
        #expect(try accepted.fault().detail.contains("bfloat16"))
        let second = service.ask(.get, target, ["Accept": "application/x-npy, application/octet-stream;q=0.1"])
        #expect(second["Content-Type"] == "application/octet-stream")
        #expect(service.ask(.get, "/explain?method=zeros&shape=2&dtype=bfloat16&format=npy").status == 406)
        let json = service.post("/init", #"{"method":"zeros","shape":[2],"dtype":"bfloat16","format":"npy"}"#)
        #expect(json.status == 406)
        #expect(try json.fault().pointer == "/format")
    }

    // MARK: Gain and fan

    @Test("/gain answers the gain of an activation")
    func gain() {
        let answer = service.ask(.get, "/gain?nonlinearity=leaky_relu&param=0.2")
        #expect(
            answer.text
                == #"{"nonlinearity":"leaky_relu","param":0.2,"gain":1.3867504905630728,"convention":"torch"}"#
        )
        #expect(answer["Cache-Control"] == "public, max-age=31536000, immutable")
        #expect(service.post("/gain", #"{"nonlinearity":"leaky_relu","param":0.2}"#).body == answer.body)
        #expect(
            service.ask(.get, "/gain?request=" + encoded(#"{"nonlinearity":"leaky_relu","param":2e-1}"#)).body
                == answer.body
        )
        #expect(
            service.ask(.get, "/gain?nonlinearity=tanh").text
                == #"{"nonlinearity":"tanh","gain":1.6666666666666667,"convention":"torch"}"#
        )
        #expect(
            service.post("/gain", #"{"nonlinearity":"leaky_relu","param":null}"#).text
                == #"{"nonlinearity":"leaky_relu","param":0.01,"gain":1.4141428569978354,"convention":"torch"}"#
        )
    }

    @Test("Gains have PyTorch's bits", arguments: GoldenCase.visible.filter { $0.kind == .gain })
    func goldenGains(_ golden: GoldenCase) throws {
        let param = golden.param.map { "&param=" + encoded(String($0)) } ?? ""
        let answer = service.ask(.get, "/gain?nonlinearity=\(try #require(golden.nonlinearity))\(param)")
        // Compared as text, because JSONSerialization does not always read the nearest number.
        let hexadecimal = try #require(golden.gainHex)
        let gain = try #require(Double(hexadecimal))
        #expect(answer.text.contains("\"gain\":\(gain),"), "\(answer.text)")
    }

    @Test("Without an activation, /gain lists all gains")
    func gains() throws {
        let gains = try #require(try service.ask(.get, "/gain").json()["gains"] as? [[String: Any]])
        let names = gains.compactMap { $0["nonlinearity"] as? String }
        #expect(names.starts(with: ["linear", "conv1d"]))
        #expect(Set(names).isSuperset(of: ["relu", "selu", "gelu", "silu", "mish", "elu", "softplus", "hardswish"]))
        for entry in gains { #expect(entry["gain"] is Double && entry["convention"] is String) }
        #expect(service.ask(.get, "/gain?param=1").status == 400)
    }

    @Test(
        "/fan answers the fans of a shape",
        arguments: [
            ("shape=6,4", #"{"shape":[6,4],"fan_in":4,"fan_out":6}"#),
            ("shape=[64,3,7,7]&mode=fan_out", #"{"shape":[64,3,7,7],"fan_in":147,"fan_out":3136,"fan":3136}"#),
            ("shape=7,7,3,64&layout=keras", #"{"shape":[7,7,3,64],"fan_in":147,"fan_out":3136}"#),
            (
                "shape=64,3,7,7&groups=2",
                #"{"shape":[64,3,7,7],"fan_in":147,"fan_out":3136,"effective":{"fan_in":147,"fan_out":1568}}"#
            ),
            (
                "shape=6,4&transposed=true&mode=fan_in",
                #"{"shape":[6,4],"fan_in":4,"fan_out":6,"fan":4,"effective":{"fan_in":6,"fan_out":4,"fan":6}}"#
            ),
        ]
    )
    func fan(_ query: String, _ expected: String) {
        #expect(service.ask(.get, "/fan?" + query).text == expected)
    }

    @Test(
        "Errors of /gain and /fan name the fault",
        arguments: [
            ("/gain?nonlinearity=rleu", 400, "nonlinearity"), ("/gain?nonlinearity=ReLU", 400, "nonlinearity"),
            ("/gain?nonlinearity=leaky_relu&param=true", 400, "param"),
            ("/gain?nonlinearity=leaky_relu&param=1e200", 422, "param"),
            ("/gain?nonlinearity=relu&slope=1", 400, "slope"), ("/gain?nonlinearity=celu&param=0", 422, "param"),
            ("/fan?", 400, "shape"), ("/fan?shape=4", 422, "shape"), ("/fan?shape=6,4&groups=0", 400, "groups"),
            ("/fan?shape=6,4&groups=4", 422, "groups"), ("/fan?shape=6,4&transposed=1", 400, "transposed"),
            ("/fan?shape=6,4&mode=in", 400, "mode"), ("/fan?shape=6,4&layout=tf", 400, "layout"),
        ]
    )
    func errors(_ target: String, _ status: Int, _ parameter: String) throws {
        let answer = service.ask(.get, target)
        #expect(answer.status == status)
        #expect(try answer.fault().parameter == parameter)
    }

    // MARK: Explain and the catalogue

    @Test("/explain describes the plan of a tensor")
    func explain() throws {
        let answer = service.ask(.get, "/explain?method=he_uniform&shape=64,3,7,7&seed=4294967338&gain=relu&format=npy")
        let plan = try answer.json()
        #expect(
            plan["url"] as? String == "/init?method=kaiming_uniform&shape=64,3,7,7&seed=4294967338&gain=relu&format=npy"
        )
        #expect(plan["seed"] as? Int == 4_294_967_338)
        #expect(plan["effective_seed"] as? Int == 42)
        #expect(plan["method"] as? String == "kaiming_uniform")
        #expect(plan["fan_in"] as? Int == 147)
        #expect(plan["fan_out"] as? Int == 3136)
        let std = 2.0.squareRoot() / 147.0.squareRoot()
        #expect(answer.text.contains("\"gain\":\(2.0.squareRoot()),"))
        #expect(answer.text.contains("\"std\":\(std),"))
        #expect(answer.text.contains("\"bound\":\(3.0.squareRoot() * std),"))
        #expect(plan["bytes"] as? Int == 64 * 147 * 4)
        #expect(plan["words"] as? Int == 64 * 147)
        #expect((plan["start"] as? [String: Any])?["word"] as? Int == 0)
        #expect(plan["formula"] is String)
        #expect((plan["warnings"] as? [Any])?.isEmpty == true)
    }

    @Test("Unknown members of a plan are null, and odd requests have warnings")
    func explainOddities() throws {
        let truncated = try service.ask(.get, "/explain?method=trunc_normal&shape=100&mean=5").json()
        #expect(truncated["words"] is NSNull)
        #expect((truncated["warnings"] as? [String])?.count == 1)
        // Larger than any reply: nothing is made.
        let large = try service.ask(.get, "/explain?method=normal&shape=1000000,1000000").json()
        #expect(large["bytes"] as? Int == 4_000_000_000_000)
    }

    @Test("The catalogue has every method with its parameters")
    func methods() throws {
        let catalogue = try service.ask(.get, "/methods").json()
        let methods = try #require(catalogue["methods"] as? [[String: Any]])
        #expect(
            methods.compactMap { $0["name"] as? String } == [
                "uniform", "normal", "trunc_normal", "constant", "ones", "zeros", "eye", "dirac", "xavier_uniform",
                "xavier_normal", "kaiming_uniform", "kaiming_normal", "variance_scaling", "lecun_uniform",
                "lecun_normal",
                "orthogonal", "sparse",
            ]
        )
        for method in methods {
            // The decoder accepts every name and alias.
            let name = try #require(method["name"] as? String)
            for alias in [name] + (method["aliases"] as? [String] ?? []) {
                let answer = service.ask(.get, "/explain?shape=2,2&method=" + alias)
                // Two methods have a required parameter, and a Dirac delta has at least three dimensions.
                #expect(answer.status == ["constant": 400, "sparse": 400, "dirac": 422][name] ?? 200, "\(alias)")
            }
            for parameter in try #require(method["parameters"] as? [[String: Any]]) {
                #expect(parameter["name"] is String && parameter["type"] is String && parameter["required"] is Bool)
            }
        }
        let formats = try #require(catalogue["formats"] as? [[String: Any]])
        #expect(formats.compactMap { $0["name"] as? String } == ["json", "raw", "npy", "safetensors", "summary"])
        #expect((catalogue["dtypes"] as? [[String: Any]])?.count == 4)
        #expect((catalogue["activations"] as? [[String: Any]])?.isEmpty == false)
    }

    @Test("The contract is served as it is in the repository")
    func openAPI() throws {
        let answer = service.ask(.get, "/openapi.yaml")
        #expect(answer["Content-Type"] == "application/yaml")
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../openapi.yaml")
        #expect(answer.body == Array(try Data(contentsOf: file)))
        #expect(service.ask(.get, "/openapi.yaml", ["If-None-Match": try #require(answer["ETag"])]).status == 304)
    }

    @Test("The contract has every route")
    func openAPIPaths() {
        let contract = service.ask(.get, "/openapi.yaml").text
        let paths = [
            "/", "/gain", "/fan", "/init", "/explain", "/propagate", "/methods", "/livez", "/readyz", "/openapi.yaml",
        ]
        for path in paths {
            #expect(contract.contains("\n  \(path):\n"), "\(path)")
        }
    }

    @Test("The page is one document that loads nothing from other hosts")
    func page() throws {
        let answer = service.ask(.get, "/", ["Accept": "text/html,application/xhtml+xml,*/*;q=0.8"])
        #expect(answer.status == 200)
        #expect(answer["Content-Type"] == "text/html; charset=utf-8")
        #expect(answer.body.count < 100_000)
        let policy = try #require(answer["Content-Security-Policy"])
        #expect(policy.hasPrefix("default-src 'none'; ") && policy.contains("connect-src 'self'"))
        #expect(!policy.contains("unsafe"))
        for element in ["script", "style"] {
            let parts = answer.text.components(separatedBy: "<\(element)>")
            #expect(parts.count == 2)
            let content = try #require(parts.last?.components(separatedBy: "</\(element)>").first)
            let digest = Data(SHA256.hash(data: Data(content.utf8))).base64EncodedString()
            #expect(policy.contains("\(element)-src 'sha256-\(digest)';"))
        }
        let head = service.ask(.head, "/")
        #expect(head.body.isEmpty && head.statedLength == answer.body.count && head["ETag"] == answer["ETag"])
        #expect(service.ask(.get, "/", ["If-None-Match": try #require(answer["ETag"])]).status == 304)
        #expect(service.ask(.post, "/").status == 405)
        #expect(service.ask(.get, "/?method=normal").status == 400)
    }

    // MARK: Probes and refusals

    @Test("While the service drains, it is live but not ready")
    func probes() throws {
        #expect(service.ask(.get, "/livez").status == 200)
        #expect(service.ask(.get, "/livez")["Cache-Control"] == "no-store")
        #expect(service.ask(.get, "/readyz").status == 200)
        service.beginDraining()
        #expect(service.ask(.get, "/livez").status == 200)
        let answer = service.ask(.get, "/readyz")
        #expect(answer.status == 503)
        #expect(answer["Retry-After"] != nil)
        _ = try answer.fault()
        #expect(service.ask(.get, "/gain").status == 200)
    }

    @Test(
        "Refusals of the transport are problem documents, too",
        arguments: [
            (Refusal.malformed("a bare line feed"), 400, "a bare line feed"),
            (.bodyTooLarge(limit: 10), 413, "--max-body-bytes"),
            (.expectationFailed("200-ok"), 417, "200-ok"),
            (.timedOut, 408, "--receive-timeout"), (.tooManyFields(limit: 256), 431, "256 header fields"),
            (.workTooLarge(need: 3, limit: 2), 413, "up to 3 bytes of memory"),
            (.workTooLarge(need: 3, limit: 2), 413, "over the limit of 2 (--max-work-bytes)"),
            (.saturated(.workQueue, retryAfterSeconds: 7), 503, "(--work-queue); try again in 7 s"),
            (.saturated(.workTime, retryAfterSeconds: 7), 503, "--work-timeout"),
            (.saturated(.workMemory, retryAfterSeconds: 7), 503, "--max-work-bytes"),
            (.saturated(.bodyMemory, retryAfterSeconds: 7), 503, "--max-body-memory"),
            (.saturated(.uploadMemory, retryAfterSeconds: 7), 503, "--max-upload-memory"),
            (.saturated(.stopping, retryAfterSeconds: 7), 503, "shutting down"),
        ]
    )
    func refusals(_ refusal: Refusal, _ status: Int, _ detail: String) throws {
        let head = RequestHead(method: .get, target: "/init")
        let answer = Answer(service.refuse(refusal, head: head))
        #expect(answer.status == status)
        #expect(try answer.fault().detail.contains(detail))
        let isSaturated = if case .saturated = refusal { true } else { false }
        #expect(answer["Retry-After"] == (isSaturated ? "7" : nil))
        let headOnly = RequestHead(method: .head, target: "/init")
        #expect(Answer(service.refuse(refusal, head: headOnly)).body.isEmpty)
    }
}
