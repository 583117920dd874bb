import ByteText
import HTTPTypes
import Testing

@testable import InitService

@Suite("The request target is read from its raw form")
struct RequestTargetTests {
    typealias Pair = (String, String)

    private func query(_ target: String) throws -> [Text] {
        try RequestTarget(target).query.map { $0.name + "→" + $0.text }
    }

    @Test(
        "Queries are decoded",
        arguments: [
            ("/x", []),
            ("/x?", []),
            ("/x?a=1&b=2", ["a→1", "b→2"]),
            ("/x?b", ["b→"]),
            ("/x?b=", ["b→"]),
            ("/x?a=1=2", ["a→1=2"]),
            ("/x?a=?", ["a→?"]),
            ("/x?a=1&&b=2&", ["a→1", "b→2"]),
            ("/x?=1", ["→1"]),
            ("/x?a=1;b=2", ["a→1;b=2"]),
            ("/x?%61%3d=%26%2B", ["a=→&+"]),
            ("/x?a=1+2", ["a→1 2"]),
            ("/x?a=%5B6%2C+4%5D", ["a→[6, 4]"]),
            ("/x?a=%C3%A9", ["a→é"]),
            ("/x?a=1&a=2", ["a→1", "a→2"]),
        ] as [(String, [Text])]
    )
    func queries(_ target: String, _ expected: [Text]) throws {
        #expect(try query(target) == expected)
    }

    @Test(
        "Paths are decoded",
        arguments: [
            ("/init", "/init"),
            ("/in%69t", "/init"),
            ("/in%69t?x=1", "/init"),
            ("/in%2Fit", nil),
            ("/%2finit", nil),
            ("/init/", "/init/"),
            ("//init", "//init"),
            ("/./init", "/./init"),
            ("/a+b", "/a+b"),
            ("/init%3Fa", "/init?a"),
            ("http://localhost:8080/init?seed=1", "/init"),
            ("HTTP://localhost/init", "/init"),
            ("https://localhost", "/"),
            ("http://localhost?seed=1", "/"),
            ("*", "*"),
        ] as [(String, Text?)]
    )
    func paths(_ target: String, _ path: Text?) throws {
        #expect(try RequestTarget(target).path == path)
    }

    @Test(
        "Malformed targets are refused",
        arguments: [
            "", "init", "?seed=1", "/init#x", "/init?seed=1#x", "/init?a=%", "/init?a=%4", "/init?a=%4g",
            "/init?a=%%41",
            "/init?a=%00", "/init?%00=1", "/init?a=%ff", "/init?a=%c3", "/in%it", "/%00", "/%ff", "/init?a=é",
            "/init?a=a b", "ftp://localhost/init", "localhost:80", "/init\u{1}",
        ]
    )
    func refused(_ target: String) {
        let problem = #expect(throws: Problem.self) { try RequestTarget(target) }
        #expect(problem?.kind.status == .badRequest)
    }

    @Test("A percent-encoded path names the same route, but an encoded slash does not replace a slash")
    func routes() {
        let service = InitService()
        #expect(service.ask("/liv%65z").status == 200)
        #expect(service.ask("/%6civez").status == 200)
        #expect(service.ask("%2Flivez").status == 400)
        #expect(service.ask("/%2Flivez").status == 404)
        #expect(service.ask("http://localhost/livez").status == 200)
    }
}

extension InitService {
    func ask(_ target: String) -> Answer { ask(.get, target) }
}
