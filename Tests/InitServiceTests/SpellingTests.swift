import HTTPTypes
import InitService
import Testing

@Suite("Other spellings mean the same")
struct SpellingTests {
    private let service = InitService()

    /// The canonical URL, which all spellings share.
    private func url(_ query: String) throws -> String {
        let answer = service.ask(.get, "/explain?" + query)
        #expect(answer.status == 200, "\(query): \(answer.text)")
        return try #require(try answer.json()["url"] as? String)
    }

    @Test(
        "PyTorch's aliases and short forms of a dtype are accepted",
        arguments: [
            ("bf16", "bfloat16"), ("fp16", "float16"), ("half", "float16"), ("float", "float32"), ("double", "float64"),
            ("torch.float32", "float32"), ("torch.half", "float16"), ("F64", "float64"), ("BF16", "bfloat16"),
        ]
    )
    func dtypes(_ given: String, _ canonical: String) throws {
        #expect(
            try url("method=normal&shape=2&dtype=" + given)
                == url("method=normal&shape=2&dtype=" + canonical)
        )
        let body =
            #"{"layer":{"type":"Linear","in_features":1,"out_features":1,"dtype":"\#(given)"},"cast":"\#(given)"}"#
        let answer = service.post("/init", body.replacing("\(given)", with: canonical))
        #expect(answer.status == 200)
        #expect(service.post("/init", body).text == answer.text)
    }

    @Test(
        "Types that methods cannot draw are refused under other names, too",
        arguments: ["long", "torch.int32", "torch."]
    )
    func integers(_ given: String) throws {
        let answer = service.ask(.get, "/init?method=normal&shape=2&dtype=" + given)
        #expect(answer.status == 400)
        #expect(try answer.fault().allowed.contains("float32"))
    }

    @Test(
        "A method may have PyTorch's module before its name",
        arguments: [
            "torch.nn.init.kaiming_normal_", "nn.init.kaiming_normal_", "init.kaiming_normal", "nn.init.he_normal_",
        ]
    )
    func methods(_ given: String) throws {
        #expect(try url("shape=3,4&method=" + given) == url("shape=3,4&method=kaiming_normal"))
    }

    @Test("A layer and a rule may name a class with PyTorch's module", arguments: ["nn.", "torch.nn."])
    func layers(_ module: String) throws {
        let body = { (module: String) in
            #"{"layers":[{"type":"\#(module)Linear","in_features":2,"out_features":2},{"type":"\#(module)Parameter","shape":[2]}],"#
                + #""rules":[{"type":"\#(module)Linear","method":"ones"}]}"#
        }
        let answer = service.post("/init", body(module))
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.text == service.post("/init", body("")).text)
        #expect(answer["ETag"] == service.post("/init", body(""))["ETag"])
    }

    @Test(
        "A shape may be written as in Python, in papers and in form libraries",
        arguments: [
            "64x3x7x7", "(64,3,7,7)", "(64, 3, 7, 7,)", "[64,3,7,7]", "64,3&shape=7,7", "64&shape=3&shape=7&shape=7",
        ]
    )
    func shapes(_ given: String) throws {
        let encoded = given.replacing(" ", with: "%20")
        #expect(try url("method=normal&shape=" + encoded) == url("method=normal&shape=64,3,7,7"))
    }

    @Test("A tuple of one element is a shape")
    func tuple() throws {
        #expect(try url("method=normal&shape=(4,)") == url("method=normal&shape=4"))
    }

    @Test(
        "A malformed shape is refused",
        arguments: ["64x", "x3", "64x3,7", "(64,3", "64,3)", "4&shape=x", "4&shape=", "4,,3", "(4,,)"]
    )
    func badShapes(_ given: String) throws {
        let answer = service.ask(.get, "/explain?method=normal&shape=" + given)
        #expect(answer.status == 400, "\(given): \(answer.text)")
        #expect(try answer.fault().parameter == "shape")
    }

    @Test("Duplicates of other members are refused", arguments: ["seed=1&seed=2", "std=1&std=1"])
    func twice(_ given: String) throws {
        #expect(
            try service.ask(.get, "/explain?method=normal&shape=4&" + given).fault().detail.contains("is given twice")
        )
    }

    @Test(
        "Numbers may have plus signs, as programming languages print them",
        arguments: [("1e+05", "100000"), ("1e%2B05", "1e5"), ("+2.5", "2.5"), ("%2B2.5", "2.5"), ("1E+2", "100")]
    )
    func numbers(_ given: String, _ canonical: String) throws {
        #expect(try url("method=normal&shape=2&std=" + given) == url("method=normal&shape=2&std=" + canonical))
    }

    @Test(
        "Infinities and NaN may be written as in Python, JavaScript, Java and C",
        arguments: [
            ("inf", "inf"), ("Infinity", "inf"), ("+Inf", "inf"), ("%2BInf", "inf"), ("INF", "inf"),
            ("-Infinity", "-inf"),
            ("NaN", "nan"),
        ]
    )
    func infinities(_ given: String, _ canonical: String) throws {
        #expect(
            try url("method=constant&shape=2&value=" + given) == "/init?method=constant&shape=2&value=" + canonical
        )
        guard !given.contains("%"), !given.contains("+") else { return }
        let answer = service.post("/explain", #"{"method":"constant","shape":[2],"value":"\#(given)"}"#)
        #expect(try answer.json()["url"] as? String == "/init?method=constant&shape=2&value=" + canonical)
    }

    @Test(
        "A malformed number is refused",
        arguments: ["++1", "1++", "1+1", "+", "e+5", "1e", "1%20000", "+-1", "--1", "infi"]
    )
    func badNumbers(_ given: String) throws {
        let answer = service.ask(.get, "/explain?method=normal&shape=2&std=" + given)
        #expect(answer.status == 400, "\(given): \(answer.text)")
        #expect(try answer.fault().parameter == "std")
    }

    @Test(
        "The error about an unknown word suggests the intended one",
        arguments: [
            ("method=normal&size=2", "did you mean shape?"), ("method=normal&shape=2&sdt=1", "did you mean std?"),
            ("method=normal&shape=2&sigma=1", "did you mean std?"),
            ("method=normal&shape=2&type=half", "did you mean dtype?"),
            ("method=xavier&shape=2,2", "did you mean xavier_normal or xavier_uniform?"),
            ("method=lecun&shape=2,2", "did you mean lecun_normal or lecun_uniform?"),
            ("method=lecun_norml&shape=2,2", "did you mean lecun_normal?"),
            ("method=he&shape=2,2", "did you mean kaiming_uniform or kaiming_normal?"),
            ("method=randn&shape=2", "did you mean normal?"),
            ("method=he_norml&shape=2,2", "did you mean he_normal?"),
            ("method=normal&shape=2&dtype=bfloat", "did you mean bfloat16?"),
            ("method=normal&shape=2&dtype=bf61", "did you mean bf16?"),
            ("method=normal&shape=2&dtype=flaot", "did you mean float?"),
            ("method=normal&shape=2&dtype=float23", "did you mean float32?"),
            ("method=normal&shape=2&cast=haf", "did you mean half?"),
            ("method=KAIMING_NORMAL&shape=2,2", "did you mean kaiming_normal?"),
            ("method=Kaiming_Uniform&shape=2,2", "did you mean kaiming_uniform?"),
            ("method=KAIMING_NROMAL&shape=2,2", "did you mean kaiming_normal?"),
            ("method=XAVIER&shape=2,2", "did you mean xavier_normal or xavier_uniform?"),
            ("method=Gaussian&shape=2", "did you mean normal?"),
            ("method=NORMAL&shape=2", "did you mean normal?"),
            ("method=normal&shape=2&STD=1", "did you mean std?"),
            ("method=normal&SHAPE=2", "did you mean shape?"),
            ("method=normal&shape=2&format=NPY", "did you mean npy?"),
            ("method=kaiming_normal&shape=2,2&nonlinearity=ReLU", "did you mean relu?"),
            ("method=normal&shape=2&format=safetensor", "did you mean safetensors?"),
        ]
    )
    func suggestions(_ query: String, _ hint: String) throws {
        let answer = service.ask(.get, "/init?" + query)
        #expect(answer.status == 400)
        #expect(try answer.fault().detail.contains(hint), "\(answer.text)")
    }

    @Test(
        "The error about a layer in the wrong case suggests the layer",
        arguments: [("linear", "Linear"), ("RELU", "ReLU"), ("Batchnorm2d", "BatchNorm2d"), ("CONV2D", "Conv2d")]
    )
    func layerSuggestions(_ given: String, _ meant: String) throws {
        let fault = try service.post("/init", #"{"layer":{"type":"\#(given)"}}"#).fault()
        #expect(fault.detail.hasSuffix("did you mean \(meant)?"))
        #expect(fault.allowed.first == meant)
    }

    @Test("Letters outside ASCII keep their case")
    func kelvin() throws {
        #expect(service.ask(.get, "/init?method=%E2%84%AAaiming_normal&shape=2,2").status == 400)
        let allowed = try service.ask(.get, "/init?method=%E2%84%AA&shape=2").fault().allowed
        #expect(allowed.first != "kaiming_normal")
    }

    @Test(
        "The error about a word that resembles no known word has no suggestion",
        arguments: ["method=zzzzzzzz&shape=2", "method=ZZZZZZZZ&shape=2", "method=normal&shape=2&q=1"]
    )
    func noSuggestion(_ query: String) throws {
        #expect(try !service.ask(.get, "/init?" + query).fault().detail.contains("did you mean"))
    }
}

@Suite("Downloads have file names")
struct FileNameTests {
    private let service = InitService()

    @Test(
        "A tensor's file is named after its method and shape, a layer's after its type",
        arguments: [
            (
                "method=kaiming_normal_&shape=64,3,7,7&format=npy",
                #"attachment; filename="kaiming_normal-64x3x7x7.npy""#
            ),
            ("method=ones&shape=&format=raw", #"attachment; filename="ones.raw""#),
            ("method=ones&shape=2&format=safetensors", #"attachment; filename="ones-2.safetensors""#),
            ("method=ones&shape=2", #"inline; filename="ones-2.json""#),
            ("method=ones&shape=2&format=summary", #"inline; filename="ones-2.json""#),
            (
                "request=%7B%22layer%22:%7B%22type%22:%22ReLU%22%7D,%22format%22:%22safetensors%22%7D",
                #"attachment; filename="ReLU.safetensors""#
            ),
            (
                "request=%7B%22layers%22:%5B%5D,%22format%22:%22safetensors%22%7D",
                #"attachment; filename="model.safetensors""#
            ),
        ]
    )
    func names(_ query: String, _ field: String) throws {
        let answer = service.ask(.get, "/init?" + query)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer["Content-Disposition"] == field)
        #expect(service.ask(.head, "/init?" + query)["Content-Disposition"] == field)
    }

    @Test("A shape that is too long for a file name is left out")
    func longShape() {
        let shape = [String](repeating: "1", count: 64).joined(separator: ",")
        #expect(
            service.ask(.get, "/init?method=ones&format=raw&shape=" + shape)["Content-Disposition"]
                == #"attachment; filename="ones.raw""#
        )
    }

    @Test(
        "Errors and plans have no file name",
        arguments: ["/init?method=ones", "/explain?method=ones&shape=2", "/gain"]
    )
    func without(_ target: String) {
        #expect(service.ask(.get, target)["Content-Disposition"] == nil)
    }
}
