import ByteText
import Foundation
import HTTPTypes
import InitAPI
import InitService
import Testing

@Suite("Paths that end in a file's name")
struct FileRouteTests {
    private let service = InitService()
    private static let tensor = "method=normal&shape=4,3&seed=5"

    @Test(
        "The extension sets the format, and the download has the file's name",
        arguments: [
            ("conv1.npy", "npy", "attachment"), ("conv1.safetensors", "safetensors", "attachment"),
            ("w.raw", "raw", "attachment"), ("W.BIN", "raw", "attachment"), ("a.b.json", "json", "inline"),
        ]
    )
    func formats(_ name: String, _ format: String, _ kind: String) throws {
        let file = service.ask(.get, "/init/\(name)?\(Self.tensor)")
        let plain = service.ask(.get, "/init?\(Self.tensor)&format=\(format)")
        #expect(file.status == 200, "\(file.text)")
        #expect(file.body == plain.body)
        for field in ["ETag", "Content-Type", "Cache-Control", "Accept-Ranges", "X-Tensor-Shape"] {
            #expect(file[field] == plain[field], "\(field)")
        }
        #expect(file["Content-Disposition"] == #"\#(kind); filename="\#(name)""#)
        let head = service.ask(.head, "/init/\(name)?\(Self.tensor)")
        #expect(head.status == 200)
        #expect(head["Content-Disposition"] == file["Content-Disposition"])
        #expect(head.statedLength == file.body.count)
        // The format may be named again.
        #expect(service.ask(.get, "/init/\(name)?\(Self.tensor)&format=\(format)").body == file.body)
        // The path decides, not Accept.
        #expect(service.ask(.get, "/init/\(name)?\(Self.tensor)", ["Accept": "text/html"]).body == file.body)
        #expect(service.ask(.get, "/init/\(name)?\(Self.tensor)", ["If-None-Match": file["ETag"] ?? ""]).status == 304)
        #expect(service.ask(.put, "/init/\(name)")["Allow"] == "GET, HEAD, POST, OPTIONS")
    }

    @Test("A range of a file has the bytes of the same range of /init")
    func part() throws {
        let whole = service.ask(.get, "/init?\(Self.tensor)&format=npy")
        let tag = try #require(whole["ETag"])
        let part = service.ask(.get, "/init/w.npy?\(Self.tensor)", ["Range": "bytes=10-19", "If-Range": tag])
        #expect(part.status == 206)
        #expect(part.body == Array(whole.body[10..<20]))
        #expect(part["Content-Disposition"] == #"attachment; filename="w.npy""#)
    }

    @Test("A model can be posted to a file's name, and its canonical URL is that of /init")
    func post() {
        let body = #"{"seed":1,"layers":[{"type":"Linear","in_features":2,"out_features":3}]}"#
        let file = service.post("/init/model.safetensors", body)
        #expect(file.status == 200, "\(file.text)")
        #expect(file.body == service.post("/init", String(body.dropLast()) + #","format":"safetensors"}"#).body)
        #expect(file["Content-Disposition"] == #"attachment; filename="model.safetensors""#)
        let location = file["Content-Location"] ?? ""
        #expect(location.hasPrefix("/init?request="))
        #expect(service.ask(.get, location).body == file.body)
        let query = "/init/model.safetensors?request=" + encoded(body)
        #expect(service.ask(.get, query).body == file.body)
    }

    @Test("A file with the extension json may be a summary")
    func summary() {
        let file = service.ask(.get, "/init/w.json?\(Self.tensor)&format=summary")
        #expect(file.body == service.ask(.get, "/init?\(Self.tensor)&format=summary").body)
        #expect(file["Content-Disposition"] == #"inline; filename="w.json""#)
    }

    @Test(
        "A format that contradicts the extension is refused",
        arguments: [("w.npy", "raw"), ("w.raw", "summary"), ("w.json", "npy")]
    )
    func conflict(_ name: String, _ format: String) throws {
        let query = service.ask(.get, "/init/\(name)?\(Self.tensor)&format=\(format)")
        #expect(query.status == 400)
        let fault = try query.fault()
        #expect(fault.parameter == "format")
        #expect(fault.detail == #"format: is \#(format), but the path ends in "\#(name)""#)
        let body = service.post("/init/\(name)", #"{"method":"ones","shape":[1],"format":"\#(format)"}"#)
        #expect(body.status == 400)
        #expect(try body.fault().pointer == "/format")
    }

    @Test("A tensor that a format cannot hold is refused for a file of that format")
    func objection() throws {
        #expect(service.ask(.get, "/init/w.npy?method=ones&shape=2&dtype=bfloat16").status == 406)
        #expect(
            service.post("/init/w.npy", #"{"layer":{"type":"Linear","in_features":2,"out_features":3}}"#).status == 406
        )
        #expect(service.ask(.get, "/init/w.npy?method=onse&shape=2").status == 400)
    }

    @Test(
        "Content-Disposition has a non-ASCII name twice, in ASCII and percent-encoded",
        arguments: [
            ("a%22b.npy", #"filename="a_b.npy"; filename*=UTF-8''a%22b.npy"#),
            ("%C3%A9t%C3%A9.npy", #"filename="__t__.npy"; filename*=UTF-8''%C3%A9t%C3%A9.npy"#),
            ("a%3B%20x=1.npy", #"filename="a; x=1.npy""#),
            ("100%25.npy", #"filename="100_.npy"; filename*=UTF-8''100%25.npy"#),
            ("%F0%9F%8E%B2.npy", #"filename="____.npy"; filename*=UTF-8''%F0%9F%8E%B2.npy"#),
        ]
    )
    func names(_ name: String, _ field: String) {
        let file = service.ask(.get, "/init/\(name)?\(Self.tensor)")
        #expect(file.status == 200, "\(file.text)")
        #expect(file["Content-Disposition"] == "attachment; " + field)
    }

    @Test(
        "Names that are unsafe to save, or that have no format, are unknown paths",
        arguments: [
            "..%2f", "..%2Fw.npy", "..%2f..%2fetc%2fpasswd.npy", "%2e%2e", "..", ".", ".npy", "..npy", "%2Fw.npy",
            "a%5Cw.npy",
            "a%0d%0aSet-Cookie:%20x=1.npy", "a%0D.npy", "a%0A.npy", "a%09.npy", "a%7F.npy", "a%C2%85.npy", "%1b[2J.npy",
            "w", "",
            "w.", "w.txt", "w.npy%20", "npy", "w.npy.gz", String(repeating: "a", count: 252) + ".npy",
        ]
    )
    func hostile(_ name: String) throws {
        for method in [HTTPRequest.Method.get, .head] {
            let answer = service.ask(method, "/init/\(name)?\(Self.tensor)")
            #expect(answer.status == 404, "\(answer.text)")
            #expect(answer["Content-Disposition"] == nil)
            for field in answer.fields {
                #expect(field.value.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 0x20 }, "\(field)")
            }
        }
        let fault = try service.ask(.get, "/init/\(name)?\(Self.tensor)").fault()
        #expect(fault.detail.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
        #expect(service.post("/init/\(name)", #"{"method":"ones","shape":[1]}"#).status == 404)
    }

    @Test("Broken escapes in a path are malformed", arguments: ["a%00.npy", "a%ff.npy", "a%2.npy"])
    func malformed(_ name: String) {
        #expect(service.ask(.get, "/init/\(name)?\(Self.tensor)").status == 400)
    }

    @Test("The error about an unknown extension lists the known ones")
    func extensions() throws {
        let fault = try service.ask(.get, "/init/w.txt?\(Self.tensor)").fault()
        #expect(fault.detail == #"the file's name "w.txt" has an unknown extension"#)
        #expect(fault.allowed == [".json", ".raw", ".bin", ".npy", ".safetensors"])
    }

    @Test("The longest accepted name has the 255 bytes that file systems allow")
    func longest() {
        let name = String(repeating: "a", count: 251) + ".npy"
        #expect(service.ask(.get, "/init/\(name)?\(Self.tensor)").status == 200)
    }
}

@Suite("Downloads of models have names")
struct ModelFileNameTests {
    private let service = InitService()

    @Test(
        "A model's file is named after the model",
        arguments: [
            ("mlp?format=safetensors", #"attachment; filename="mlp.safetensors""#),
            ("mlp?format=safetensors&seed=7&include=*.bias", #"attachment; filename="mlp.safetensors""#),
            ("lstm-tagger?format=summary", #"inline; filename="lstm-tagger.json""#),
            ("lenet5", #"inline; filename="lenet5.json""#),
        ]
    )
    func names(_ target: String, _ field: String) {
        for method in [HTTPRequest.Method.get, .head] {
            let answer = service.ask(method, "/models/random/" + target)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer["Content-Disposition"] == field)
        }
    }

    @Test("A range has the file's name, and neither a plan nor an error has one")
    func others() {
        let part = service.ask(.get, "/models/random/mlp?format=safetensors", ["Range": "bytes=0-7"])
        #expect(part.status == 206)
        #expect(part["Content-Disposition"] == #"attachment; filename="mlp.safetensors""#)
        #expect(service.ask(.get, "/models")["Content-Disposition"] == nil)
        #expect(service.ask(.get, "/models/random/mlp?format=npy")["Content-Disposition"] == nil)
    }
}
