import Foundation
import GoldenVectors
import Testing
import TestSupport

/// The vectors of the given kinds.
private func golden(_ kinds: GoldenCase.Kind...) -> [GoldenCase] {
    GoldenCase.visible.filter { kinds.contains($0.kind) }
}

@Suite("Over a socket, PyTorch's bytes")
struct GoldenTests {
    @Test("Every vector with an endpoint is tested")
    func completeness() {
        let counts = [golden(.`init`), golden(.error), golden(.seedError), golden(.gain)].map(\.count)
        #expect(counts == [140, 11, 2, 13])
        #expect(counts.reduce(0, +) == 166)
        #expect(GoldenCase.visible.count - 166 == golden(.sequence, .randperm, .raw).count)
    }

    @Test("A tensor has PyTorch's bytes in every format that can hold it", arguments: golden(.`init`))
    func tensor(_ golden: GoldenCase) throws {
        try withService { caller in
            for format in ["raw", "npy", "safetensors", "json", "summary"] {
                let question = try golden.question.with("format", "\"\(format)\"")
                let answers = [
                    try caller.get("/init?" + question.query),
                    try caller.post("/init", json: question.json),
                    try caller.get("/init?request=" + percentEncoded(question.json)),
                ]
                for answer in answers {
                    if format == "npy", golden.dtype == "bfloat16" {
                        try answer.expectProblem(406)
                    } else {
                        try #require(answer.status == 200, "\(format): \(answer.text)")
                        try check(answer, format, golden)
                    }
                }
            }
        }
    }

    private func check(_ answer: Caller.Response, _ format: String, _ golden: GoldenCase) throws {
        let element = try #require(golden.dtype.flatMap(Element.init(rawValue:)))
        let shape = try #require(golden.shape)
        switch format {
        case "raw":
            #expect(answer["X-Tensor-Shape"].map { $0.filter { $0 != " " } } == "\(shape)".filter { $0 != " " })
            #expect(answer["X-Tensor-Dtype"] == golden.dtype)
            try compare(answer.body, golden, format)
        case "npy":
            let file = try NumPyFile(answer.body)
            #expect(file.descr == element.names.npy)
            #expect(file.shape == shape)
            try compare(file.body, golden, format)
        case "safetensors":
            let header = try unwrap(try SafetensorsHeader(answer.body))
            #expect(header.fileByteCount == answer.body.count)
            let tensor = try #require(header.tensors.first)
            #expect(header.tensors.count == 1)
            #expect(tensor.element == element)
            #expect(tensor.shape == shape)
            #expect(header.metadata["seed"] == golden.seed)
            try compare(Array(answer.body[header.byteCount...]), golden, format)
        case "json":
            let members = try answer.json()
            #expect(members["shape"] as? [Int] == shape)
            #expect(members["dtype"] as? String == golden.dtype)
            #expect(members["method"] as? String == golden.method.map { $0.trimmingCharacters(in: ["_"]) })
            let data = try #require(answer.text.firstRange(of: #","data":"#))
            let numbers = answer.text[data.upperBound...].dropLast()
            try compare(try NestedNumbers(numbers, shape: shape, element: element).bytes, golden, format)
        default:
            let members = try answer.json()
            #expect(members["shape"] as? [Int] == shape)
            #expect(members["dtype"] as? String == golden.dtype)
            // A vector that allows a tolerance has no fixed digest.
            if golden.compare == .bits { #expect(members["sha256"] as? String == golden.sha256) }
        }
    }

    /// Compares elements with PyTorch's: bit by bit, or within the vector's tolerance.
    private func compare(_ bytes: [UInt8], _ golden: GoldenCase, _ format: String) throws {
        switch try #require(golden.compare) {
        case .bits:
            #expect(sha256(bytes) == golden.sha256, "\(format)")
        case .tolerance:
            let expected = try readFloats(npy: unwrap(golden.npy))
            let element = try #require(golden.dtype.flatMap(Element.init(rawValue:)))
            let values = element.values(bytes)
            let tolerance = try #require(golden.absoluteTolerance)
            try #require(values.count == expected.count)
            let worst = zip(values, expected).map { abs($0 - $1) }.max() ?? 0
            #expect(worst <= tolerance, "\(format)")
        }
    }

    @Test("A gain is PyTorch's", arguments: golden(.gain))
    func gain(_ golden: GoldenCase) throws {
        try withService { caller in
            let question = try golden.question
            for answer in [
                try caller.get("/gain?" + question.query),
                try caller.post("/gain", json: question.json),
            ] {
                #expect(answer.status == 200, "\(answer.text)")
                let members = try answer.json()
                // Parsed from the text, because Foundation's reader may be off by the last bit.
                let gain = try unwrap(answer.text.firstMatch(of: /"gain":([^,}]+)/)).1
                #expect(Double(gain) == golden.gainHex.flatMap(Double.init))
                #expect(members["nonlinearity"] as? String == golden.nonlinearity)
                #expect(members["convention"] as? String == "torch")
            }
        }
    }

    @Test("A request that PyTorch refuses is refused", arguments: golden(.error, .seedError))
    func refusal(_ golden: GoldenCase) throws {
        let message = try #require(golden.errorMessage)
        let isUnknownWord = message.hasPrefix("Mode ") || message.hasPrefix("Unsupported nonlinearity")
        let status = isUnknownWord || golden.kind == .seedError ? 400 : 422
        try withService { caller in
            for format in ["raw", "npy", "safetensors", "json", "summary"] {
                let question = try golden.question.with("format", "\"\(format)\"")
                try caller.get("/init?" + question.query).expectProblem(status, format)
                try caller.post("/init", json: question.json).expectProblem(status, format)
            }
            #expect(try caller.get("/livez").status == 200)
        }
    }

    @Test("Signed zeros and non-finite numbers survive JSON", arguments: ["float32", "float64", "float16"])
    func specialNumbers(_ dtype: String) throws {
        let element = try #require(Element(rawValue: dtype))
        let cases: [(given: String, asQuery: String, written: String)] = [
            ("-0.0", "-0.0", "-0.0"), ("0", "0", "0.0"), (#""inf""#, "inf", #""inf""#),
            (#""-inf""#, "-inf", #""-inf""#), (#""nan""#, "nan", #""nan""#),
        ]
        try withService { caller in
            for (given, asQuery, written) in cases {
                let members = #""method":"constant","shape":[3],"dtype":"\#(dtype)","value":\#(given)"#
                let expected = try Array(repeating: element.bytes(of: written[...]), count: 3).flatMap { $0 }
                let raw = try caller.get("/init?method=constant&shape=3&dtype=\(dtype)&format=raw&value=\(asQuery)")
                #expect(raw.body == expected, "\(given)")
                let json = try caller.post("/init", json: "{\(members)}")
                #expect(json.text.hasSuffix(#","data":[\#(written),\#(written),\#(written)]}"#), "\(json.text)")
            }
        }
    }
}
