import ByteText
import Foundation
import HTTPTypes
import InitAPI
import InitService
import Testing
import WeightInit

@Suite("Names are compared by their bytes")
struct NameTests {
    /// Spellings that compare equal as Swift strings.
    static let spellings = [
        ("\u{e9}", "e\u{301}"), ("K", "\u{212a}"), ("\u{c5}", "\u{212b}"), ("\u{ac00}", "\u{1100}\u{1161}"),
    ]

    private let service = InitService()

    private func layer(_ name: String) -> String {
        #"{"name":"\#(name)","type":"Linear","in_features":2,"out_features":2}"#
    }

    private func tensors(_ answer: Answer) throws -> [[String: Any]] {
        try #require(try answer.json()["tensors"] as? [[String: Any]])
    }

    /// The names as bytes, because Swift strings would hide a difference of spelling.
    private func names(_ answer: Answer) throws -> [[UInt8]] {
        try tensors(answer).map { Array((($0["name"] as? String) ?? "").utf8) }
    }

    @Test("Two spellings of a letter name two layers", arguments: spellings)
    func layers(_ first: String, _ second: String) throws {
        let answer = service.post("/explain", #"{"layers":[\#(layer(first)),\#(layer(second))]}"#)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(
            try names(answer)
                == ["\(first).weight", "\(first).bias", "\(second).weight", "\(second).bias"].map { Array($0.utf8) }
        )
        let file = service.post("/init", #"{"format":"safetensors","layers":[\#(layer(first)),\#(layer(second))]}"#)
        #expect(file.status == 200, "\(file.text)")
    }

    @Test("A duplicate of a spelling is refused", arguments: spellings.flatMap { [$0, $1] })
    func twice(_ name: String) throws {
        let fault = try service.post("/explain", #"{"layers":[\#(layer(name)),\#(layer(name))]}"#).fault()
        #expect(fault.pointer == "/layers/1/name")
    }

    @Test("A tie to another spelling of a name is refused, and the error names its place", arguments: spellings)
    func ties(_ first: String, _ second: String) throws {
        let body = #"{"layers":[\#(layer(first)),\#(layer("x"))],"tie":{"x.weight":"\#(second).weight"}}"#
        let answer = service.post("/explain", body)
        #expect(answer.status == 400)
        let fault = try answer.fault()
        #expect(fault.pointer == "/tie/x.weight")
        #expect(fault.detail.contains("unknown parameter"))
    }

    @Test("Slices for two spellings are independent", arguments: spellings)
    func slices(_ first: String, _ second: String) throws {
        let answer = service.post(
            "/explain",
            #"{"layers":[\#(layer(first)),\#(layer(second))],"slices":{"\#(first).weight":":1","\#(second).weight":"1:"}}"#
        )
        #expect(answer.status == 200, "\(answer.text)")
        #expect(try tensors(answer).map { $0["slice"] as? String } == [":1", nil, "1:", nil])
        let missing = service.post(
            "/explain",
            #"{"layers":[\#(layer(first))],"slices":{"\#(second).weight":":1"}}"#
        )
        #expect(try missing.fault().pointer.map { Array($0.utf8) } == Array("/slices/\(second).weight".utf8))
    }

    @Test("A rule's pattern matches one spelling only", arguments: spellings)
    func rules(_ first: String, _ second: String) throws {
        let answer = service.post(
            "/explain",
            #"{"layers":[\#(layer(first)),\#(layer(second))],"rules":[{"name":"\#(second).*","method":"ones"}]}"#
        )
        #expect(try tensors(answer).map { $0["method"] as? String } == ["kaiming_uniform", "uniform", "ones", "ones"])
    }

    @Test("Members in other spellings are unknown", arguments: ["\u{212a}ind", "shape\u{301}", "se\u{212a}d"])
    func members(_ name: String) throws {
        let answer = service.post("/explain", #"{"method":"zeros","shape":[1],"\#(name)":1}"#)
        #expect(answer.status == 400)
        #expect(try answer.fault().pointer.map { Array($0.utf8) } == Array("/\(name)".utf8))
    }

    @Test("Only ASCII letters in header fields are compared without case")
    func fields() {
        let query = "/gain?nonlinearity=relu"
        #expect(service.ask(.get, query, ["Accept": "APPLICATION/JSON"]).status == 200)
        // Unicode's case folding maps U+212A to k, and U+017F to s.
        #expect(service.ask(.get, query, ["Accept": "application/j\u{17f}on"]).status == 406)
        #expect(service.ask(.get, "/init?method=zeros&shape=9&format=raw", ["Range": "byte\u{17f}=0-1"]).status == 200)
        #expect(service.ask(.get, "/init?method=zeros&shape=9&format=raw", ["Range": "BYTES=0-1"]).status == 206)
    }

    // MARK: Length

    @Test("A name over the limit is refused with its place, before anything is made")
    func length() throws {
        var limits = ServiceLimits()
        limits.tensors.maximumNameLength = 20
        let service = InitService(limits: limits)
        let long = String(repeating: "e\u{301}", count: 7)
        let requests: [(body: String, pointer: String)] = [
            (#"{"layers":[\#(layer("x")),\#(layer(long))]}"#, "/layers/1/name"),
            (#"{"tensors":[{"name":"\#(long)","method":"zeros","shape":[1]}]}"#, "/tensors/0/name"),
            (#"{"layers":[{"name":"abcdefghij","layers":[\#(layer("abcdefghij"))]}]}"#, "/layers/0/layers/0/name"),
            (#"{"layers":[\#(layer("abcdefghijklmno"))]}"#, "/layers"),
            (#"{"method":"zeros","shape":[1],"\#(long)":1}"#, ""),
        ]
        for (body, pointer) in requests {
            let answer = service.post("/explain", body)
            #expect(answer.status == 413, "\(answer.text)")
            let fault = try answer.fault()
            #expect(fault.pointer == pointer, "\(body)")
            #expect(fault.detail.contains("--max-name-length"))
        }
        #expect(service.post("/explain", #"{"layers":[\#(layer("abcdefghijklm"))]}"#).status == 200)
    }

    @Test("The error about an unknown name among very many suggests a few near ones")
    func suggestions() throws {
        let layers = (0..<2000).map { layer("block\($0)") }.joined(separator: ",")
        let answer = service.post("/explain", #"{"layers":[\#(layers)],"tie":{"block7.weigth":"block8.weight"}}"#)
        #expect(answer.status == 400)
        let fault = try answer.fault()
        #expect(fault.allowed.count == 8)
        #expect(fault.allowed.contains("block7.weight"))
    }
}
