import Foundation
import HTTPDaemon
import Testing
import TestSupport

@Suite("The server refuses bad input and keeps serving")
struct BadInputTests {
    struct Row: CustomTestStringConvertible, Sendable {
        var request: String
        var status: Int
        /// Text that the refusal contains.
        var says: String

        init(_ request: String, _ status: Int, _ says: String = "") {
            (self.request, self.status, self.says) = (request, status, says)
        }

        var testDescription: String { String(request.prefix(80)) }

        func expectRefused(_ answer: Caller.Response) throws {
            try answer.expectProblem(status)
            #expect(says.isEmpty || answer.text.contains(says), "\(answer.text)")
        }
    }

    private func expectAlive(_ caller: Caller) throws {
        #expect(try caller.get("/livez").status == 200)
    }

    @Test(
        "A bad query is refused",
        arguments: [
            Row("method=normal&shape=-1", 400, "negative"),
            Row("method=normal&shape=3,,4", 400, "empty"),
            Row("method=normal&shape=3,4,", 400, "empty"),
            Row("method=normal&shape=3,x", 400, "integer"),
            Row("method=normal&shape=3.0", 400, "integer"),
            Row("method=normal&shape=4611686018427387904,4", 413, "2^63"),
            Row("method=normal&shape=0,4611686018427387904,4611686018427387904", 413, "2^63"),
            Row("method=normal&shape=99999999999999999999", 413, "2^63"),
            Row("method=normal&shape=9223372036854775807&format=raw", 413, ""),
            Row("method=normal&shape=" + Array(repeating: "1", count: 65).joined(separator: ","), 413, "64"),
            Row("method=zeros&shape=1000000000,0", 413, "--max-json-elements"),
            Row("method=zeros&shape=1000000000,0&format=json", 413, "--max-json-elements"),
            Row("method=normal&shape=2&seed=18446744073709551616", 400, "seed"),
            Row("method=normal&shape=2&seed=-9223372036854775809", 400, "seed"),
            Row("method=normal&shape=2&seed=1.5", 400, "seed"),
            Row("method=normal&shape=2&seed=42.0", 400, "seed"),
            Row("method=normal&shape=2&seed=1e3", 400, "seed"),
            Row("method=normal&shape=2&dtype=float31", 400, "float32"),
            Row("method=normal&shape=2&dtype=int64", 400, "dtype"),
            Row("method=kaimign_normal&shape=2,2", 400, "did you mean kaiming_normal"),
            Row("shape=2", 400, "method"),
            Row("method=normal", 400, "shape"),
            Row("method=normal&shape=2&sparsity=0.5", 400, "not a parameter of normal"),
            Row("method=normal&shape=2&colour=red", 400, "unknown member"),
            Row("method=normal&shape=2&std=1&std=1", 400, "given twice"),
            Row("method=normal&shape=2&seed=1&seed=2", 400, "given twice"),
            Row("method=constant&shape=2&value=1&val=1", 400, "twice"),
            Row("method=normal&shape=2&std=true", 400, "number"),
            Row("method=normal&shape=2&std=1e999", 400, "float64"),
            Row("method=uniform&shape=2&a=-1e308&b=1e308&dtype=float64", 422),
            Row("method=constant&shape=2&value=1e39", 422),
            Row("method=sparse&shape=4,4", 400, "sparsity"),
            Row("method=xavier_uniform&shape=3", 422, "dimensions"),
            Row("method=kaiming_normal&shape=", 422, "dimensions"),
            Row("method=kaiming_normal&shape=4,4&mode=fan_sum", 400, "fan_in"),
            // float32 has numbers on both sides of the lower bound, but those above it are never drawn.
            Row("method=trunc_normal&shape=64&mean=100000004&std=0.1&a=100000004.01&b=100000012", 422, "--max-rounds"),
            Row("method=trunc_normal&shape=4&a=2&b=-2", 422),
            Row("method=orthogonal&shape=4,4&dtype=bfloat16", 422),
            Row("method=orthogonal&shape=100000,100000&format=raw", 413, "--max-matrix-elements"),
            Row("method=normal&shape=2&format=pickle", 400, "format"),
            Row("method=normal&shape=2&dtype=bfloat16&format=npy", 406, "bfloat16"),
            Row("method=normal&shape=%ff", 400),
            Row("method=normal&shape=%", 400),
            Row("request=%7B%7D&method=normal", 400, "must be the only parameter"),
        ]
    )
    func query(_ row: Row) throws {
        try withService { caller in
            try row.expectRefused(try caller.get("/init?" + row.request))
            try expectAlive(caller)
            let head = try caller.head("/init?" + row.request)
            #expect(head.status == row.status)
            try expectAlive(caller)
        }
    }

    @Test(
        "A bad body is refused",
        arguments: [
            Row("", 400), Row("hello", 400), Row("{", 400), Row("[]", 400, "object"), Row("3", 400, "object"),
            Row("{}", 400, "is missing"), Row("\u{FEFF}{}", 400), Row(#"{"method":"normal","shape":[2]} x"#, 400),
            Row(#"{"method":"normal","shape":[2],"seed":1,"seed":1}"#, 400, "given twice"),
            Row(#"{"method":"normal","shape":[2],"s\u0065ed":1,"seed":1}"#, 400, "given twice"),
            Row(#"{"method":"normal","shape":[2],}"#, 400, "comma"),
            Row(#"{"method":"normal","shape":[2,]}"#, 400, "comma"),
            Row(#"{'method':'normal','shape':[2]}"#, 400),
            Row(#"{"method":"normal","shape":[NaN]}"#, 400),
            Row(#"{"method":"normal","shape":[02]}"#, 400),
            Row(#"{"method":"normal","shape":"2"}"#, 400, "array"),
            Row(#"{"method":"normal","shape":[true]}"#, 400, "integer"),
            Row(#"{"method":"normal","shape":[2.0]}"#, 400, "integer"),
            Row(#"{"method":"normal","shape":[-2]}"#, 400, "negative"),
            Row(#"{"method":"normal","shape":[1e2]}"#, 400, "integer"),
            Row(#"{"method":"normal","shape":[0,4611686018427387904,4611686018427387904]}"#, 413, "2^63"),
            Row(#"{"method":"zeros","shape":[1000000000,0]}"#, 413, "--max-json-elements"),
            Row(#"{"method":"normal","shape":[2],"seed":42.0}"#, 400, "seed"),
            Row(#"{"method":"normal","shape":[2],"seed":0.5}"#, 400, "seed"),
            Row(#"{"method":"normal","shape":[2],"seed":18446744073709551616}"#, 400, "seed"),
            Row(#"{"method":"normal","shape":[2],"seed":"-9223372036854775809"}"#, 400, "seed"),
            Row(#"{"method":"normal","shape":[2],"std":true}"#, 400, "number"),
            Row(#"{"method":"normal","shape":[2],"std":1e999}"#, 400, "float64"),
            Row(#"{"method":"normal","shape":[2],"std":null}"#, 400, "number"),
            Row(#"{"method":"sparse","shape":[2,2]}"#, 400, "sparsity"),
            Row(#"{"method":"xavier_normal","shape":[2]}"#, 422, "dimensions"),
            Row(#"{"method":"norml","shape":[2]}"#, 400, "did you mean normal"),
            Row(String(repeating: "[", count: 100_000), 400),
            Row(String(repeating: #"{"a":"#, count: 100_000), 400),
            Row(#"{"method":"normal","shape":[2],"gain":\#(String(repeating: "[", count: 5000))"#, 400),
        ]
    )
    func body(_ row: Row) throws {
        try withService { caller in
            try row.expectRefused(try caller.post("/init", json: row.request))
            try expectAlive(caller)
        }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func notText() throws {
        try withService { caller in
            let client = try RawClient(port: caller.port)
            let body: [UInt8] = Array(#"{"method":"nor"#.utf8) + [0xC0, 0x80, 0xFF] + Array(#"mal"}"#.utf8)
            let head = "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
            client.send(Array("\(head)\(body.count)\r\n\r\n".utf8) + body)
            try client.readResponse().expectProblem(400)
            try expectAlive(caller)
        }
    }

    @Test("A body over the limit is refused, with and without a length")
    func bodyTooLarge() throws {
        try withService { caller in
            let body = String(repeating: " ", count: 1 << 20 + 1)
            let answer = try caller.post("/init", json: body)
            try answer.expectProblem(413)
            #expect(answer.text.contains("--max-body-bytes"))
            try expectAlive(caller)

            let client = try RawClient(port: caller.port)
            client.send(
                "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n"
            )
            for _ in 0..<33 {
                client.send("8000\r\n" + String(repeating: " ", count: 0x8000) + "\r\n")
            }
            client.send("0\r\n\r\n")
            try client.readResponse().expectProblem(413)
            try expectAlive(caller)

            // A client that asks with Expect is refused before it sends its body.
            let cautious = try RawClient(port: caller.port)
            cautious.send(
                "POST /init HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
            )
            try cautious.readResponse().expectProblem(413)
            try expectAlive(caller)
        }
    }

    @Test(
        "A body of another media type is refused",
        arguments: ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", nil]
    )
    func mediaType(_ type: String?) throws {
        try withService { caller in
            let fields = type.map { ["Content-Type": $0] } ?? [:]
            let answer = try caller.ask("POST", "/init", fields, body: #"{"method":"zeros","shape":[1]}"#)
            try answer.expectProblem(415)
            #expect(answer["Accept"] == "application/json")
            try expectAlive(caller)
        }
    }

    @Test("An unknown path is 404", arguments: ["/page", "/inti", "/init/", "//init", "/init/x", "/..%2finit"])
    func unknownPath(_ path: String) throws {
        try withService { caller in
            try caller.get(path).expectProblem(404)
            try caller.post(path, json: "{}").expectProblem(404)
            try expectAlive(caller)
        }
    }

    @Test(
        "A wrong method is 405 and lists the allowed ones",
        arguments: [
            ("DELETE", "/init"), ("PUT", "/init"), ("PATCH", "/gain"), ("PROPFIND", "/fan"), ("POST", "/livez"),
            ("POST", "/methods"), ("POST", "/openapi.yaml"),
        ]
    )
    func wrongVerb(_ method: String, _ path: String) throws {
        try withService { caller in
            let answer = try caller.ask(method, path)
            try answer.expectProblem(405)
            let allow = try #require(answer["Allow"]).split(separator: ",").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            #expect(allow.contains("GET") && allow.contains("HEAD") && !allow.contains(method))
            try expectAlive(caller)
        }
    }

    @Test(
        "An unacceptable format is 406",
        arguments: [
            ("/init?method=zeros&shape=1", "text/html"), ("/init?method=zeros&shape=1", "application/json;q=0"),
            ("/init?method=zeros&shape=1&dtype=bfloat16", "application/x-npy"), ("/gain", "text/csv"),
        ]
    )
    func notAcceptable(_ target: String, _ accept: String) throws {
        try withService { caller in
            let answer = try caller.get(target, ["Accept": accept])
            try answer.expectProblem(406)
            #expect(answer.text.contains("application/json"))
            try expectAlive(caller)
        }
    }

    @Test("A malformed head ends only its connection")
    func malformedHeads() throws {
        let heads = [
            "GET /init\r\n\r\n", "\r\n\r\n\r\n", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
            "GET /livez HTTP/1.1\r\n\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            "POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "GET /livez HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n",
            "GET /" + String(repeating: "x", count: 300_000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 300_000) + "\r\n\r\n",
        ]
        // For some heads the server waits until the idle timeout.
        try withService({ $0.idleTimeout = .seconds(1) }) { caller in
            for head in heads {
                let client = try RawClient(port: caller.port)
                client.send(head)
                client.finishSending()
                if let answer = try? client.readResponse() {
                    #expect((400..<600).contains(answer.status), "\(head.prefix(60)): \(answer.status)")
                }
                // On a new connection, because one kept since the last head may have timed out, too.
                try expectAlive(Caller(port: caller.port))
            }
        }
    }
}
