import Foundation
import HTTPTypes
import InitAPI
import InitService
import SHA2
import Testing
import WeightInit

@Suite("Requests with steps make the tensors of PyTorch programs")
struct StepRequestTests {
    // Not static, so that its memory is freed: a leak sanitizer that cannot follow pointers in enums would report it as
    // lost.
    private let service = InitService()

    /// A line of `steps.jsonl` or `step_programs.jsonl`: a request, a seed, and what PyTorch made.
    struct Vector: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The request with the seed, as JSON.
        let request: String
        /// Type, shape and SHA-256 of each tensor.
        let tensors: [String: (dtype: String, shape: [Int], digest: String)]

        init(_ line: String) throws {
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            let end = try #require(line.range(of: #"}, "seed": "#, options: .backwards))
            let start = try #require(line.range(of: #"{"request": {"#))
            let seed = try #require(object["seed"] as? NSNumber)
            request = #"{"seed":\#(seed),"# + line[start.upperBound..<end.lowerBound] + "}"
            testDescription = String(request.prefix(200))
            tensors = try #require(object["tensors"] as? [String: [Any]]).mapValues { tensor in
                (
                    try #require(tensor[0] as? String), try #require(tensor[1] as? [Int]),
                    try #require(tensor[2] as? String)
                )
            }
        }

        static func all(_ file: String) throws -> [Vector] { try modelVectorLines(file).map(Vector.init) }
    }

    private static let types = [
        "float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
        "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
    ]

    @Test(
        "Each request has PyTorch's tensors, and its canonical URL the same ones",
        arguments: try Vector.all("steps.jsonl") + Vector.all("step_programs.jsonl")
    )
    func vectors(_ vector: Vector) throws {
        let answer = service.post("/init", vector.request, ["Accept": "application/x-safetensors"])
        try #require(answer.status == 200, "\(answer.text)")
        let file = try SafetensorsFile(answer.body)
        #expect(Set(file.tensors.keys) == Set(vector.tensors.keys))
        for (name, expected) in vector.tensors {
            let tensor = try #require(file.tensors[name])
            #expect(tensor.dtype == Self.types[expected.dtype], "\(name)")
            #expect(tensor.shape == expected.shape, "\(name)")
            #expect(SHA256.hash(data: tensor.bytes).description == expected.digest, "\(name)")
        }
        guard let url = answer["Content-Location"] else { return }
        let repeated = service.ask(.get, url, ["Accept": "application/x-safetensors"])
        #expect(repeated.status == 200 && repeated["ETag"] == answer["ETag"])
        #expect(repeated.body == answer.body)
    }

    private static let tensors =
        #""tensors":[{"name":"w","shape":[4,4],"method":"zeros"},{"name":"i","shape":[3],"dtype":"int64","method":"arange"},"#
        + #"{"name":"b","shape":[2],"dtype":"bool","method":"zeros"},{"name":"d","shape":[2],"dtype":"float64","method":"ones"}]"#
    /// These tensors, and one that has no elements yet.
    private static let withUnwritten = String(tensors.dropLast()) + #",{"name":"e","shape":[2]}]"#

    /// The `detail` of a problem document, which begins with the place of the fault.
    private static func detail(_ detail: String, at pointer: String) -> String {
        pointer.split(separator: "/").joined(separator: ".") + ": " + detail
    }

    /// A step, and its refusal.
    struct Refusal: Sendable, CustomTestStringConvertible {
        var step: String
        var status: Int
        /// Pointer to the fault, relative to the step.
        var pointer: String
        var detail: String
        var testDescription: String { String(step.prefix(100)) }

        init(_ step: String, _ status: Int, _ pointer: String, _ detail: String) {
            (self.step, self.status, self.pointer, self.detail) = (step, status, pointer, detail)
        }
    }

    /// 2^20 zeros as a zlib stream.
    private static let bomb = "eNrtwTEBAAAAwqD1T20IX6" + String(repeating: "A", count: 1355) + "D4DAPAAAQ=="

    @Test(
        "An impossible step is refused, and the error names its place",
        arguments: [
            Refusal(#"{"tensor":"v","method":"ones"}"#, 400, "/tensor", #"unknown tensor "v""#),
            Refusal(#"{"tensor":["w","d","v"],"method":"ones"}"#, 400, "/tensor/2", #"unknown tensor "v""#),
            Refusal(#"{"tensor":[],"method":"ones"}"#, 400, "/tensor", "has no names"),
            Refusal(#"{"tensor":["w",2],"method":"ones"}"#, 400, "/tensor/1", "must be a string, found 2"),
            Refusal(#"{"tensor":2,"method":"ones"}"#, 400, "/tensor", "must be a name or an array of names, found 2"),
            Refusal(
                #"{"method":"ones"}"#,
                400,
                "/tensor",
                "is missing: a step has a tensor, or the shape of a draw that is discarded"
            ),
            Refusal(#"{"shape":[5],"method":"add","value":1}"#, 400, "/tensor", "is missing: add changes a tensor"),
            Refusal(
                #"{"tensor":"w","slice":"3:9","method":"ones"}"#,
                422,
                "/slice",
                #"3:9 reaches outside of the shape [4, 4] (for "w")"#
            ),
            Refusal(
                #"{"tensor":["w","i"],"slice":":,1","method":"ones"}"#,
                422,
                "/slice",
                #"has 2 items, but the shape [3] 1 dimensions (for "i")"#
            ),
            Refusal(
                #"{"tensor":"w","slice":"::2","method":"ones"}"#,
                400,
                "/slice",
                #""::2" has a step; items are start:end"#
            ),
            Refusal(
                #"{"slice":"1","shape":[2],"method":"normal"}"#,
                400,
                "/slice",
                "needs a tensor: it is a block of one"
            ),
            Refusal(
                #"{"tensor":"w","shape":[2],"method":"ones"}"#,
                400,
                "/shape",
                "follows from the tensor; give it for a discarded draw only"
            ),
            // Methods that the dtype cannot hold.
            Refusal(
                #"{"tensor":"i","method":"normal"}"#,
                422,
                "/method",
                #"normal makes floating-point numbers, not int64 (for "i")"#
            ),
            Refusal(
                #"{"tensor":"i","method":"mul","value":2}"#,
                422,
                "/method",
                #"mul changes floating-point numbers, and the tensor is int64 (for "i")"#
            ),
            Refusal(
                #"{"tensor":"i","method":"constant","value":1.5}"#,
                422,
                "/value",
                #"1.5 is not a value of int64 (for "i")"#
            ),
            Refusal(
                #"{"tensor":"b","method":"constant","value":2}"#,
                422,
                "/value",
                #"2.0 is not a value of bool (for "b")"#
            ),
            Refusal(#"{"tensor":"b","method":"arange"}"#, 422, "/method", #"arange does not make bool (for "b")"#),
            Refusal(
                #"{"tensor":"d","method":"erfinv"}"#,
                422,
                "/method",
                #"erfinv is not available in float64 (for "d")"#
            ),
            Refusal(
                #"{"tensor":"d","method":"xavier_normal"}"#,
                422,
                "/method",
                #"fan-in and fan-out need at least 2 dimensions, [2] has 1 (for "d")"#
            ),
            Refusal(
                #"{"tensor":"w","slice":":,1","method":"normal"}"#,
                422,
                "/slice",
                #"normal cannot draw into a block that is not contiguous (for "w")"#
            ),
            // Data.
            Refusal(
                #"{"tensor":"w","method":"data","base64":"AAAA"}"#,
                422,
                "/base64",
                #"holds 3 bytes; the shape and the dtype take 64 (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","slice":"0,:1","method":"data","base64":"AA*ABA=="}"#,
                400,
                "/base64",
                #"is not base64: the character at 2 is not a base64 digit (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"AAA"}"#,
                400,
                "/zlib",
                #"is not base64: the length 3 is not a multiple of 4 (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"\#(bomb)"}"#,
                422,
                "/zlib",
                #"holds more than the 64 bytes of the shape and the dtype (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"eNpjYCAfAAAAPAAB"}"#,
                422,
                "/zlib",
                #"holds 60 bytes; the shape and the dtype take 64 (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"eNpjYKAMAAAAQAABeHg="}"#,
                400,
                "/zlib",
                #"has 2 bytes after the end of its zlib stream (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"eNpjYGRiZmFlY+fg5OLm4eXjFxAUEhYRFROXkJSSlpGVk1dQVFJWUVVT19DU0tbR1dM3MDQyNjE1M7ewtLK2sbU="}"#,
                400,
                "/zlib",
                #"is not a zlib stream (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"AAAAAAAA"}"#,
                400,
                "/zlib",
                #"is not a zlib stream (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data"}"#,
                400,
                "/base64",
                #"is missing: data needs base64 or zlib (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"data","zlib":"","base64":""}"#,
                400,
                "/zlib",
                #"cannot be combined with base64; give one of the two (for "w")"#
            ),
            // Changes.
            Refusal(
                #"{"tensor":"w","method":"clamp","min":2,"max":1}"#,
                422,
                "/min",
                #"the lower bound 2.0 is above the upper bound 1.0 (for "w")"#
            ),
            Refusal(#"{"tensor":"w","method":"clamp"}"#, 400, "/min", #"clamp needs min, max or both (for "w")"#),
            Refusal(
                #"{"tensor":"e","method":"mul","value":2}"#,
                422,
                "/method",
                #"reads elements that nothing has been written to yet (for "e")"#
            ),
            Refusal(#"{"tensor":"w","method":"add","value":1,"x":2}"#, 400, "/x", #"unknown member "x""#),
            Refusal(#"{"tensor":"w","method":"add"}"#, 400, "/value", "is missing"),
            Refusal(#"{"tensor":"w","method":"nope"}"#, 400, "/method", #"unknown method "nope""#),
            Refusal(#"{"tensor":"w"}"#, 400, "/method", "is missing"),
            Refusal("3", 400, "", "must be a step, found 3"),
            // Copies and norms.
            Refusal(#"{"tensor":"w","method":"copy","from":"q"}"#, 400, "/from", #"unknown tensor "q""#),
            Refusal(
                #"{"tensor":"w","method":"copy","from":"i"}"#,
                422,
                "/from",
                #"[3] cannot be copied to [4, 4] (for "w")"#
            ),
            Refusal(
                #"{"tensor":"w","method":"copy","from":"w","from_slice":"4:9"}"#,
                422,
                "/from_slice",
                #"4:9 reaches outside of the shape [4, 4] (for "w")"#
            ),
            Refusal(
                #"{"tensor":"i","slice":":2","method":"copy","from":"d"}"#,
                422,
                "/from",
                #"float64 is not copied to int64 (for "i")"#
            ),
            Refusal(
                #"{"tensor":"d","method":"copy","from":"e"}"#,
                422,
                "/from",
                #"reads elements that nothing has been written to yet (for "d")"#
            ),
            Refusal(#"{"tensor":"e","method":"norm","from":"q"}"#, 400, "/from", #"unknown tensor "q""#),
            Refusal(
                #"{"tensor":"e","method":"norm","from":"w"}"#,
                422,
                "/dim",
                #"the norms of [4, 4] are 4, and the target is [2] (for "e")"#
            ),
            Refusal(
                #"{"tensor":"e","method":"norm","from":"w","dim":2}"#,
                422,
                "/dim",
                #"[4, 4] has no dimension 2; -1 takes the norm of all elements (for "e")"#
            ),
            Refusal(
                #"{"tensor":"e","method":"norm","from":"d"}"#,
                422,
                "/from",
                #"norm takes float32, but the tensor is float64 (for "e")"#
            ),
            Refusal(
                #"{"tensor":"i","method":"norm","from":"w","dim":-1}"#,
                422,
                "/dim",
                #"the norms of [4, 4] are 1, and the target is [3] (for "i")"#
            ),
            Refusal(
                #"{"tensor":"d","method":"norm","from":"e"}"#,
                422,
                "/from",
                #"reads elements that nothing has been written to yet (for "d")"#
            ),
        ]
    )
    func refusals(_ refusal: Refusal) throws {
        let request = "{\(Self.withUnwritten),\"steps\":[{\"tensor\":\"w\",\"method\":\"ones\"},\(refusal.step)]}"
        for path in ["/explain", "/init"] {
            let answer = service.post(path, request)
            #expect(answer.status == refusal.status)
            let fault = try answer.fault()
            #expect(fault.pointer == "/steps/1" + refusal.pointer)
            // The error about an unknown name may suggest the nearest one.
            let detail = Self.detail(refusal.detail, at: "/steps/1" + refusal.pointer)
            #expect(fault.detail == detail || fault.detail.hasPrefix(detail + "; did you mean "))
        }
    }

    @Test(
        "Steps must be an array, and names must be unique",
        arguments: [
            (#"{\#(tensors),"steps":{}}"#, 400, "/steps", "must be an array of steps, found an object"),
            (
                #"{"tensors":[{"name":"a","shape":[1],"method":"ones"},{"name":"a","shape":[1],"method":"ones"}]}"#,
                400, "/tensors/1/name", #"an earlier entry has the name "a" already"#
            ),
            (
                #"{\#(tensors),"steps":[{"tensor":"w","method":"ones","tensor":"w"}]}"#,
                400, "/steps/0/tensor", "is given twice"
            ),
            (
                #"{"layers":[{"name":"a","type":"Linear","in_features":1,"out_features":1},"#
                    + #"{"name":"a.weight","type":"Parameter","shape":[1]}]}"#,
                400, "/layers", #"two tensors have the name "a.weight""#
            ),
        ] as [(String, Int, String, String)]
    )
    func forms(_ request: String, _ status: Int, _ pointer: String, _ detail: String) throws {
        let answer = service.post("/init", request)
        #expect(answer.status == status)
        let fault = try answer.fault()
        #expect(fault.pointer == pointer)
        #expect(fault.detail.contains(detail), "\(fault.detail)")
    }

    @Test("Division by zero gives what PyTorch gives")
    func divisionByZero() throws {
        let request =
            #"{"tensors":[{"name":"x","shape":[3],"method":"arange","start":-1}],"steps":[{"tensor":"x","method":"div","value":0}]}"#
        let answer = service.post("/init", request)
        let tensor = try #require((try answer.json()["tensors"] as? [[String: Any]])?.first)
        #expect(tensor["data"] as? [String] == ["-inf", "nan", "inf"])
    }

    @Test(
        "Limits on steps are checked before anything is made, and the error names the limit",
        arguments: [
            (
                #"[{"tensor":["w","w","w"],"method":"ones"},{"tensor":"w","method":"zeros"}]"#, "/steps",
                "the model has more than 3 steps (--max-steps)"
            ),
            (
                #"[{"tensor":"w","slice":"0","method":"normal"},{"tensor":"w","slice":"1","method":"ones"}]"#,
                "/steps/1/method",
                #"more than 2 draws, copies and changes lie over one another in the tensor (for "w") (--max-overlays)"#
            ),
            (
                #"[{"tensor":"w","method":"data","zlib":"AAAA"}]"#, "/steps/0/zlib",
                #"the literals of the request have more than 63 bytes (for "w") (--max-literal-bytes)"#
            ),
        ] as [(String, String, String)]
    )
    func limits(_ steps: String, _ pointer: String, _ detail: String) throws {
        var limits = ServiceLimits()
        limits.tensors.maximumSteps = 3
        limits.tensors.maximumOverlays = 2
        limits.tensors.maximumLiteralBytes = 63
        let service = InitService(limits: limits)
        for path in ["/explain", "/init"] {
            let answer = service.post(path, "{\(Self.tensors),\"steps\":\(steps)}")
            #expect(answer.status == 413)
            let fault = try answer.fault()
            #expect(fault.pointer == pointer)
            #expect(fault.detail == Self.detail(detail, at: pointer))
        }
        let kept = #"[{"tensor":["w","w"],"method":"ones"},{"tensor":"d","method":"zeros"}]"#
        #expect(service.post("/init", "{\(Self.tensors),\"steps\":\(kept)}").status == 200)
    }

    @Test("A million steps are refused")
    func aMillionSteps() throws {
        var limits = ServiceLimits()
        limits.maximumBodyBytes = 1 << 26
        limits.maximumJSONValues = 1 << 24
        let names = [String](repeating: #""w""#, count: 1_000_000).joined(separator: ",")
        let answer = InitService(limits: limits)
            .post("/init", "{\(Self.tensors),\"steps\":[{\"tensor\":[\(names)],\"method\":\"ones\"}]}")
        #expect(answer.status == 413)
        let fault = try answer.fault()
        #expect(fault.pointer == "/steps")
        #expect(fault.detail == "steps: the model has more than 100000 steps (--max-steps)")
    }

    @Test("Long literals and many steps are decoded in deferred work", arguments: [true, false])
    func deferral(_ isLiteral: Bool) {
        let names = [String](repeating: #""t""#, count: 300).joined(separator: ",")
        let step =
            isLiteral
            ? #"{"tensor":"t","method":"data","zlib":"\#(Self.bomb)"}"# : #"{"tensor":[\#(names)],"method":"ones"}"#
        let request = #"{"tensors":[{"name":"t","shape":[262144]}],"steps":[\#(step)]}"#
        let answer = service.post("/explain", request)
        #expect(answer.status == 200 && answer.wasDeferred, "\(answer.text)")
        let short = #"{"tensors":[{"name":"t","shape":[262144]}],"steps":[{"tensor":["t","t"],"method":"ones"}]}"#
        #expect(!service.post("/explain", short).wasDeferred)
    }

    @Test("A step with a list of tensors equals one step for each, and its canonical form keeps the list")
    func lists() throws {
        let tensors = #""tensors":[{"name":"a","shape":[3]},{"name":"b","shape":[20]}]"#
        let list = service.post("/init", #"{\#(tensors),"steps":[{"method":"normal","tensor":["b","a"]}]}"#)
        let single = service.post(
            "/init",
            #"{\#(tensors),"steps":[{"tensor":"b","method":"normal"},{"tensor":["a"],"method":"normal"}]}"#
        )
        #expect(list.status == 200)
        #expect(list.body == single.body)
        let urls = [list, single].map { $0["Content-Location"]?.removingPercentEncoding ?? "" }
        #expect(urls[0].contains(#"{"tensor":["b","a"],"method":"normal"}"#), "\(urls[0])")
        #expect(urls[1].contains(#"{"tensor":"a","method":"normal"}"#), "\(urls[1])")
        let plan = try service.post("/explain", #"{\#(tensors),"steps":[{"tensor":["b","a"],"method":"normal"}]}"#)
            .json()
        let draws = try #require(plan["draws"] as? [[String: Any]])
        #expect(draws.map { $0["tensors"] as? [String] } == [["b"], ["a"]])
        #expect(draws.allSatisfy { $0["step"] as? Int == 0 })
    }

    @Test("Norms are computed once, before the first byte, and cached for ranges and slices")
    func norms() throws {
        let request =
            #"{"tensors":[{"name":"v","shape":[400,300],"method":"normal"},{"name":"g","shape":[400,1]}],"#
            + #""steps":[{"tensor":"g","method":"norm","from":"v"}],"include":["g"]"#
        let target = "/init?request=" + encoded(request + #","format":"safetensors"}"#)
        let whole = service.ask(.get, target)
        #expect(whole.status == 200 && whole.wasDeferred)
        try #require(whole.body.count > 1600)
        let part = service.ask(.get, target, ["Range": "bytes=\(whole.body.count - 99)-"])
        #expect(part.status == 206 && part.body == Array(whole.body.suffix(99)))
        // The cache has the norms.
        #expect(!part.wasDeferred)
        let sliced = try SafetensorsFile(
            service.post("/init", request + #","slices":{"g":"7:9"}}"#, ["Accept": "application/x-safetensors"])
                .body
        )
        let file = try SafetensorsFile(whole.body)
        let bytes = Array(try #require(file.tensors["g"]).bytes)
        #expect(sliced.tensors["g"]?.bytes.elementsEqual(bytes[28..<36]) == true)
        let explained = try service.post("/explain", request + "}").json()
        let tensor = try #require((explained["tensors"] as? [[String: Any]])?.first)
        #expect(tensor["exact"] == nil && tensor["steps"] as? [Int] == [0])
    }

    @Test("A tensor that is not completely written by steps is refused by name")
    func unwritten() throws {
        let step = #"{"tensor":"w","slice":"0:3","method":"ones"}"#
        let answer = service.post("/init", #"{"tensors":[{"name":"w","shape":[4,4]}],"steps":[\#(step)]}"#)
        #expect(answer.status == 422)
        #expect(try answer.fault().detail.contains(#""w" has no method, and the steps do not write all"#))
    }

    @Test(
        "Integers that float64 does not hold keep their last bit",
        // 2^53 + 1, which float64 rounds to 2^53; its neighbours; and the ends.
        arguments: [
            9_007_199_254_740_991, 9_007_199_254_740_992, 9_007_199_254_740_993, 9_007_199_254_740_995, .max, .min,
        ]
    )
    func integers(_ value: Int) throws {
        for value in [value, value == .min ? .min : -value] {
            for arguments in [#""method":"constant","value":\#(value)"#, #""method":"arange","start":\#(value)"#] {
                let answer = service.post(
                    "/init",
                    #"{"format":"json","tensors":[{"name":"i","shape":[1],"dtype":"int64",\#(arguments)}]}"#
                )
                #expect(answer.text.contains(#""data":[\#(value)]"#), "\(answer.text)")
            }
        }
    }

    @Test("A description changes neither bytes nor entity tag")
    func description() throws {
        let plain = service.post("/init", "{\(Self.tensors)}")
        let described = service.post("/init", "{\(Self.tensors),\"description\":\"torch 2.13\"}")
        #expect(plain["ETag"] != nil && plain["ETag"] == described["ETag"])
        #expect(plain.body == described.body)
    }

    @Test("Only tensors that match include are sent, and a buffer outside the state dict only if it is named exactly")
    func include() throws {
        let tensors =
            #"[{"name":"a.w","shape":[2],"method":"normal"},{"name":"b.w","shape":[2],"method":"normal"},"#
            + #"{"name":"b.ids","shape":[2],"dtype":"int64","method":"arange","persistent":false}]"#
        func names(_ include: String) throws -> [String] {
            let answer = service.post("/init", "{\"tensors\":\(tensors)\(include)}")
            try #require(answer.status == 200, "\(answer.text)")
            return try #require(try answer.json()["tensors"] as? [[String: Any]]).compactMap { $0["name"] as? String }
        }
        #expect(try names("") == ["a.w", "b.w"])
        #expect(try names(#","include":["b.*"]"#) == ["b.w"])
        #expect(try names(#","include":["a.*","b.ids"]"#) == ["a.w", "b.ids"])
        #expect(service.post("/init", "{\"tensors\":\(tensors),\"include\":[\"z*\"]}").status == 400)
    }

    @Test("/explain lists every draw, discarded ones too, with its position in the stream")
    func draws() throws {
        let request =
            #"{"tensors":[{"name":"w","shape":[20]}],"steps":[{"method":"uniform","shape":[7]},"#
            + #"{"tensor":"w","method":"normal"},{"tensor":"w","method":"erfinv"}]}"#
        let plan = try service.post("/explain", request).json()
        let draws = try #require(plan["draws"] as? [[String: Any]])
        #expect(draws.map { $0["words"] as? Int } == [7, 36])
        #expect(draws.map { ($0["start"] as? [String: Any])?["word"] as? Int } == [0, 7])
        #expect(draws.map { $0["tensors"] as? [String] } == [[], ["w"]])
        let tensor = try #require((plan["tensors"] as? [[String: Any]])?.first)
        #expect(tensor["exact"] as? Bool == false)
        #expect(tensor["steps"] as? [Int] == [1, 2])
    }
}
