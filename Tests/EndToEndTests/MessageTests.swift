import Foundation
import Testing
import TestSupport

/// Targets of tensors. Replies in JSON over 64 KiB are chunked; all other replies state their length.
private let tensors = [
    "/init?method=normal&shape=3,5&seed=1", "/init?method=kaiming_uniform&shape=300,200&seed=2",
    "/init?method=trunc_normal&shape=70001&seed=3&dtype=float16", "/init?method=eye&shape=200,300&dtype=float64",
    "/init?method=sparse&shape=30,20&sparsity=0.3", "/init?method=orthogonal&shape=40,30", "/init?method=ones&shape=",
    "/init?method=normal&shape=0,3",
]
private let formats = ["raw", "npy", "safetensors", "json", "summary"]
private let model =
    "/init?request="
    + percentEncoded(
        #"{"seed":5,"format":"safetensors","layers":[{"type":"LSTM","input_size":30,"hidden_size":20,"#
            + #""bidirectional":true},{"type":"BatchNorm1d","num_features":7},{"type":"Linear","in_features":90,"#
            + #""out_features":70,"dtype":"float64"}]}"#
    )
private let others = [
    "/gain?nonlinearity=relu", "/gain", "/fan?shape=64,3,7,7", "/explain?method=normal&shape=4,5", "/methods",
    "/openapi.yaml", "/livez", "/readyz", "/nothing", "/init?method=normal",
]

@Suite("Messages have the length and form that HTTP requires")
struct MessageTests {
    @Test(
        "Content-Length is the number of bytes sent",
        arguments: tensors.flatMap { path in formats.map { path + "&format=" + $0 } }
    )
    func contentLength(_ target: String) throws {
        try withService { caller in
            let (head, rest) = try caller.exchangeToEnd("GET", target)
            #expect(head.status == 200)
            if let length = head["Content-Length"] {
                #expect(head["Transfer-Encoding"] == nil)
                #expect(length == String(rest.count))
            } else {
                // Only longer JSON is chunked.
                #expect(target.hasSuffix("=json"))
                #expect(head["Transfer-Encoding"] == "chunked")
                #expect(try caller.get(target).body.count > 64 << 10)
            }
        }
    }

    @Test("Content-Length is right on all other routes", arguments: others + [model])
    func contentLengthElsewhere(_ target: String) throws {
        try withService { caller in
            let (head, rest) = try caller.exchangeToEnd("GET", target)
            #expect(head["Content-Length"] == String(rest.count))
            #expect(!rest.isEmpty)
        }
    }

    @Test(
        "HEAD has the head of GET",
        arguments: tensors.flatMap { path in formats.map { path + "&format=" + $0 } } + others + [model]
    )
    func head(_ target: String) throws {
        try withService { caller in
            let (get, _) = try caller.exchangeToEnd("GET", target)
            let (head, rest) = try caller.exchangeToEnd("HEAD", target)
            #expect(rest.isEmpty)
            #expect(head.status == get.status)
            // RFC 9110, 9.3.2: fields that are known only once the body has been made may be omitted.
            let mayBeUnknown = ["orthogonal", "sparse"].contains { target.contains($0) } || target.contains("summary")
            let dropped =
                ["date", "transfer-encoding"]
                + (mayBeUnknown && head["Content-Length"] == nil ? ["content-length"] : [])
            #expect(comparable(head, without: dropped) == comparable(get, without: dropped))
            if target.hasSuffix("raw") || target.hasSuffix("npy") || target.hasSuffix("safetensors") {
                #expect(head["Content-Length"] != nil)
            }
        }
    }

    private func comparable(_ response: Caller.Response, without dropped: [String]) -> [String] {
        response.fields
            .filter { !dropped.contains($0.name.lowercased()) }
            .map { "\($0.name.lowercased()): \($0.value)" }
            .sorted()
    }

    @Test("A matching entity tag gets 304", arguments: formats)
    func notModified(_ format: String) throws {
        try withService { caller in
            for target in [tensors[1] + "&format=" + format] + (format == "safetensors" ? [model] : []) {
                let first = try caller.get(target)
                let tag = try #require(first["ETag"])
                #expect(tag.hasPrefix("\""))
                for method in ["GET", "HEAD"] {
                    let again = try caller.ask(method, target, ["If-None-Match": tag])
                    #expect(again.status == 304)
                    #expect(again["ETag"] == tag)
                    #expect(again["Cache-Control"] == first["Cache-Control"])
                }
                // No body followed the 304: the next response on the connection is read whole.
                #expect(try caller.get(target, ["If-None-Match": "\"other\""]).body == first.body)
            }
        }
    }

    @Test(
        "A range request returns those bytes of the whole body",
        arguments: tensors.prefix(6).flatMap { path in ["raw", "npy", "safetensors"].map { path + "&format=" + $0 } }
            + [model]
    )
    func range(_ target: String) throws {
        try withService { caller in
            let whole = try caller.get(target)
            #expect(whole["Accept-Ranges"] == "bytes")
            let count = whole.body.count
            for _ in 0..<4 {
                let start = Int.random(in: 1..<count - 1)
                let end = Int.random(in: start..<count - 1)
                let part = try caller.get(target, ["Range": "bytes=\(start)-\(end)"])
                #expect(part.status == 206)
                #expect(part["Content-Range"] == "bytes \(start)-\(end)/\(count)")
                #expect(part["Content-Length"] == String(end - start + 1))
                #expect(part["ETag"] == whole["ETag"])
                // A Boolean, because a failed comparison of the bytes would print them.
                let isSlice = part.body.elementsEqual(whole.body[start...end])
                #expect(isSlice, "bytes \(start) to \(end)")
            }
            let beyond = try caller.get(target, ["Range": "bytes=\(count)-"])
            try beyond.expectProblem(416)
            #expect(beyond["Content-Range"] == "bytes */\(count)")
        }
    }

    @Test("An interrupted download can be resumed with If-Range")
    func resumption() throws {
        try withService { caller in
            let target = "/init?method=trunc_normal&shape=300,1000&seed=9&format=npy"
            let whole = try caller.get(target).body
            let broken = try RawClient(port: caller.port)
            broken.sendGet(target)
            let head = try broken.readHead()
            var body = broken.read(500_001)
            broken.reset()
            let tag = try #require(head["ETag"])
            let rest = try caller.get(target, ["Range": "bytes=\(body.count)-", "If-Range": tag])
            #expect(rest.status == 206)
            body += rest.body
            let isWhole = body == whole
            #expect(isWhole)
            // With another entity tag the whole body is sent.
            #expect(try caller.get(target, ["Range": "bytes=9-", "If-Range": "\"x\""]).body.count == whole.count)
        }
    }

    @Test("A POST names the URL of the same reply")
    func contentLocation() throws {
        let json =
            #"{"method":"he_normal_","shape":[64,3,7,7],"seed":"42","mode":"fan_out","#
            + #""nonlinearity":"relu","format":"npy"}"#
        try withService { caller in
            let posted = try caller.post("/init", json: json)
            let location = try #require(posted["Content-Location"])
            let got = try caller.get(location)
            #expect(got["ETag"] == posted["ETag"])
            #expect(got.body == posted.body)
        }
    }
}
