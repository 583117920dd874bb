import TestSupport
import Testing

@Suite("Request targets over a socket")
struct TargetTests {
    @Test(
        "A target may have any form and escapes",
        arguments: [
            ("/livez", 200), ("/liv%65z", 200), ("/%6Civez", 200), ("/livez?", 200), ("/livez?&&", 200),
            ("http://elsewhere/livez", 200), ("HTTP://elsewhere:80/livez?", 200), ("https://elsewhere/livez", 200),
            ("/%2Flivez", 404), ("/livez%2F", 404), ("/livez/", 404), ("//livez", 404), ("/x/../livez", 404),
            ("/LIVEZ", 404), ("http://elsewhere/x", 404), ("/livez%3F", 404), ("/%2e/livez", 404),
            ("/livez%00", 400), ("/livez%", 400), ("/livez%6", 400), ("/livez%zz", 400), ("/livez%ff", 400),
            ("/livez#x", 400), ("/livez?x=%00", 400), ("/livez?x=%", 400), ("/livez?%C0%AF", 400),
            ("livez", 400), ("*", 404), ("ftp://elsewhere/livez", 400), ("elsewhere:80", 400),
        ]
    )
    func forms(_ target: String, _ status: Int) throws {
        try withService { caller in
            let answer = try caller.get(target)
            if status < 400 { #expect(answer.status == status) } else { try answer.expectProblem(status, target) }
            #expect(try caller.get("/livez").status == 200)
        }
    }

    @Test(
        "Escapes do not change the meaning of a target",
        arguments: [
            "method=normal&shape=2%2C3&seed=%31", "%6d%65thod=normal&shape=%5B2,3%5D&seed=1",
            "seed=1&shape=2,+3&method=normal_",
            "request=%7B%22method%22%3A%22normal%22%2C%22shape%22%3A%5B2%2C3%5D%2C%22seed%22%3A1%7D",
        ]
    )
    func escapes(_ query: String) throws {
        try withService { caller in
            let plain = try caller.get("/init?method=normal&shape=2,3&seed=1")
            let escaped = try caller.get("http://elsewhere/%69nit?" + query)
            #expect(escaped.body == plain.body)
            #expect(escaped["ETag"] == plain["ETag"])
        }
    }
}
