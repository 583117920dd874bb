import HTTPTypes
import InitAPI
import InitService
import Testing

@Suite("Errors in requests name the fault")
struct BadRequestTests {
    let service = InitService()

    typealias Row = Faulty

    @Test(
        "Errors in a query name the parameter",
        arguments: [
            Row("method=normal", 400, "shape", "is missing"),
            Row("shape=2", 400, "method", "is missing"),
            Row("method=normal&shape=-1", 400, "shape", "negative"),
            Row("method=normal&shape=2,,3", 400, "shape", "empty"),
            Row("method=normal&shape=2,", 400, "shape", "empty"),
            Row("method=normal&shape=,", 400, "shape", "empty"),
            Row("method=normal&shape=[2,3", 400, "shape", "bracket"),
            Row("method=normal&shape=2,3]", 400, "shape", "integer"),
            Row("method=normal&shape=a", 400, "shape", "integer"),
            Row("method=normal&shape=2.0", 400, "shape", "integer"),
            Row("method=normal&shape=1e2", 400, "shape", "integer"),
            Row("method=normal&shape=02", 400, "shape", "integer"),
            Row("method=normal&shape=0x2", 400, "shape", "integer"),
            Row("method=normal&shape=%D9%A2", 400, "shape", "integer"),
            Row("method=normal&shape=4294967296,4294967296", 413, "shape", "2^63"),
            Row("method=normal&shape=0,4611686018427387904,4", 413, "shape", "2^63"),
            Row("method=normal&shape=9223372036854775808", 413, "shape", "2^63"),
            Row("method=normal&shape=-9223372036854775809", 400, "shape", "negative"),
            Row("method=normal&shape=99999999999999999999999999", 413, "shape", "2^63"),
            Row("method=normal&shape=9223372036854775807", 413, "shape", "over the limit of 4398046511104 bytes"),
            Row("method=normal&shape=1099511627777&format=raw", 413, "shape", "--max-tensor-bytes"),
            Row("method=normal&shape=" + String(repeating: "1,", count: 64) + "1", 413, "shape", "64"),
            Row(
                "method=normal&shape=16777217",
                413,
                "shape",
                "16777217 elements are over the limit of 16777216 for JSON; raw, npy and safetensors have none"
            ),
            Row("method=normal&shape=1000000000", 413, "shape", "1000000000 elements are over"),
            Row("method=normal&shape=16777217", 413, "shape", "--max-json-elements"),
            Row("method=zeros&shape=1000000000,0", 413, "shape", "1000000000 elements and empty rows are over"),
            Row("method=zeros&shape=1000000000,0", 413, "shape", "--max-json-elements"),
            Row("method=zeros&shape=4294967297&format=summary", 413, "shape", "4294967297 elements are over"),
            Row("method=zeros&shape=4294967297&format=summary", 413, "shape", "--max-summary-elements"),
            Row("method=orthogonal&shape=8193,8193&format=raw", 413, "shape", "--max-matrix-elements"),
            Row("method=normal&shape=2&seed=18446744073709551616", 400, "seed", "out of range"),
            Row("method=normal&shape=2&seed=-9223372036854775809", 400, "seed", "out of range"),
            Row("method=normal&shape=2&seed=42.0", 400, "seed", "not an integer"),
            Row("method=normal&shape=2&seed=1e3", 400, "seed", "not an integer"),
            Row("method=normal&shape=2&seed=", 400, "seed", "not an integer"),
            Row("method=normal&shape=2&seed=%2B1", 400, "seed", "not an integer"),
            Row("method=normal&shape=2&seed=--1", 400, "seed", "not an integer"),
            Row("method=normal&shape=2&seed=%D9%A1", 400, "seed", "not an integer"),
            Row("method=normal&shape=2&dtype=floaty", 400, "dtype", "unknown"),
            Row("method=normal&shape=2&dtype=Float3", 400, "dtype", "did you mean float32"),
            Row("method=normal&shape=2&dtype=int64", 400, "dtype", "unknown"),
            Row("method=normal&shape=2&format=pickle", 400, "format", "unknown"),
            Row("method=norml&shape=2", 400, "method", "did you mean normal"),
            Row("method=&shape=2", 400, "method", "unknown method"),
            Row("method=normal__&shape=2", 400, "method", "did you mean normal"),
            Row("method=normal&shape=2&sparsity=0.5", 400, "sparsity", "not a parameter of normal, but of sparse"),
            Row("method=constant&shape=2&val=1&mode=fan_in", 400, "mode", "not a parameter of constant"),
            Row("method=normal&shape=2&sede=1", 400, "sede", "did you mean seed"),
            Row("method=normal&shape=2&=1", 400, "", "unknown member"),
            Row("method=normal&shape=2&seed=1&seed=1", 400, "seed", "given twice"),
            Row("method=normal&shape=2&method=normal", 400, "method", "given twice"),
            Row("method=constant&shape=2&val=1&value=1", 400, "value", "another name of val"),
            Row("method=constant&shape=2", 400, "value", "is missing"),
            Row("method=sparse&shape=2,2", 400, "sparsity", "is missing"),
            Row("method=normal&shape=2&std=x", 400, "std", "must be a number, found"),
            Row("method=normal&shape=2&std=", 400, "std", "must be a number, found"),
            Row("method=normal&shape=2&std=true", 400, "std", "must be a number, found"),
            Row("method=normal&shape=2&std=0x1p3", 400, "std", "must be a number, found"),
            Row("method=normal&shape=2&std=.5", 400, "std", "must be a number, found"),
            Row("method=normal&shape=2&std=infinite", 400, "std", "must be a number, found"),
            Row("method=normal&shape=2&std=1e400", 400, "std", "float64"),
            Row("method=normal&shape=2&std=-1", 422, "std", "the standard deviation must be at least 0, not -1.0"),
            Row("method=normal&shape=2&std=nan", 422, "std", "the standard deviation must be at least 0, not nan"),
            Row("method=uniform&shape=2&a=2&b=1", 422, "a", "2.0 is above the upper bound 1.0"),
            Row("method=uniform&shape=2&a=-inf", 422, "a", "-inf is not a finite float32"),
            Row("method=dirac&shape=4,4,3&groups=2.0", 400, "groups", "integer"),
            Row("method=dirac&shape=4,4,3&groups=9223372036854775808", 400, "groups", "out of range"),
            Row("method=dirac&shape=4,4,3&groups=3", 422, "groups", "3 groups do not divide the first dimension 4"),
            Row("method=kaiming_normal&shape=4,4&mode=fan_inn", 400, "mode", "did you mean fan_in"),
            Row(
                "method=kaiming_normal&shape=4,4&nonlinearity=gelu",
                400,
                "nonlinearity",
                "give gain=gelu in place of nonlinearity"
            ),
            Row("method=kaiming_normal&shape=4,4&a=1&gain=2", 400, "gain", "takes the place of a"),
            Row("method=kaiming_normal&shape=4,4&a=1e200", 422, "a", "square of the slope 1e+200"),
            Row("method=kaiming_normal&shape=4", 422, "shape", "2 dimensions"),
            Row("method=xavier_normal&shape=0,0", 422, "shape", "fan_in + fan_out of [0, 0] is 0"),
            Row("method=xavier_normal&shape=4,4&gain=rleu", 400, "gain", "did you mean relu"),
            Row("method=xavier_normal&shape=4,4&gain=relu:x", 400, "gain", "number"),
            Row("method=xavier_normal&shape=4,4&gain=leaky_relu:1e200", 422, "gain", "square of the slope 1e+200"),
            Row("method=xavier_normal&shape=4,4&gain=", 400, "gain", "number"),
            Row("method=orthogonal&shape=4", 422, "shape", "dimensions"),
            Row("method=orthogonal&shape=4,4&dtype=float16", 422, "dtype", "float16"),
            Row("method=eye&shape=4", 422, "shape", "2 dimensions"),
            Row("method=sparse&shape=4&sparsity=0.1", 422, "shape", "2 dimensions"),
            Row("method=sparse&shape=4,4&sparsity=nan", 422, "sparsity", "nan of 4 rows"),
            Row("method=constant&shape=4&value=1e39", 422, "value", "1e+39 is over the largest float32"),
            Row("method=trunc_normal&shape=4&std=0", 422, "std", "cannot be 0 for a truncated normal"),
            Row("request=%7B%7D&seed=1", 400, "request", "must be the only parameter of the query"),
        ]
    )
    func query(_ row: Row) throws {
        let answer = service.ask(.get, "/init?" + row.request)
        #expect(answer.status == row.status, "\(answer.text)")
        let fault = try answer.fault()
        #expect(fault.parameter == row.place)
        #expect(fault.pointer == nil)
        #expect(fault.detail.contains(row.detail), "\(fault.detail)")
        // /explain refuses the same requests, except for limits of the reply's format.
        if !fault.detail.contains("--max-json-elements"), !fault.detail.contains("--max-summary-elements") {
            #expect(service.ask(.get, "/explain?" + row.request).status == row.status)
        }
    }

    @Test(
        "Errors in JSON name the place of the fault",
        arguments: [
            Row("", 400, "", "not JSON"),
            Row("{", 400, "", "not JSON"),
            Row("[]", 400, "", "object"),
            Row("null", 400, "", "object"),
            Row(#""x""#, 400, "", "object"),
            Row("{}", 400, "/method", "is missing"),
            Row(#"{"method":"normal","shape":[2],}"#, 400, "", "comma"),
            Row(#"{"method":"normal","shape":[2,]}"#, 400, "/shape", "comma"),
            Row(#"{"method":"normal","shape":[2],"seed":1,"seed":1}"#, 400, "/seed", "given twice"),
            Row(#"{"method":1,"shape":[2]}"#, 400, "/method", "string"),
            Row(#"{"method":"normal","shape":2}"#, 400, "/shape", "array"),
            Row(#"{"method":"normal","shape":"2"}"#, 400, "/shape", "array"),
            Row(#"{"method":"normal","shape":[2,"3"]}"#, 400, "/shape/1", "must be an integer, found"),
            Row(#"{"method":"normal","shape":[2,null]}"#, 400, "/shape/1", "must be an integer, found"),
            Row(#"{"method":"normal","shape":[2,[3]]}"#, 400, "/shape/1", "must be an integer, found"),
            Row(#"{"method":"normal","shape":[2,-3]}"#, 400, "/shape", "negative"),
            Row(#"{"method":"normal","shape":[2.0]}"#, 400, "/shape/0", "must be an integer, found"),
            Row(#"{"method":"normal","shape":[1e3]}"#, 400, "/shape/0", "must be an integer, found"),
            Row(#"{"method":"normal","shape":[9223372036854775808]}"#, 413, "/shape/0", "2^63"),
            Row(#"{"method":"zeros","shape":[1000000000,0]}"#, 413, "/shape", "--max-json-elements"),
            Row(
                #"{"tensors":[{"shape":[10000000],"method":"zeros"},{"shape":[20000000],"method":"zeros"}]}"#,
                413,
                "",
                "30000000 elements are over the limit of 16777216"
            ),
            Row(
                #"""
                {"tensors":[{"shape":[4611686018427387904,0],"method":"zeros"},
                            {"shape":[4611686018427387904,0],"method":"zeros"}]}
                """#,
                413,
                "",
                "2^63 or more elements and empty rows are over the limit"
            ),
            Row(#"{"method":"normal","shape":[2],"seed":42.0}"#, 400, "/seed", "not an integer"),
            Row(#"{"method":"normal","shape":[2],"seed":1e3}"#, 400, "/seed", "not an integer"),
            Row(#"{"method":"normal","shape":[2],"seed":"42.0"}"#, 400, "/seed", "not an integer"),
            Row(#"{"method":"normal","shape":[2],"seed":true}"#, 400, "/seed", "integer"),
            Row(#"{"method":"normal","shape":[2],"seed":null}"#, 400, "/seed", "integer"),
            Row(#"{"method":"normal","shape":[2],"seed":18446744073709551616}"#, 400, "/seed", "out of range"),
            Row(#"{"method":"normal","shape":[2],"dtype":32}"#, 400, "/dtype", "string"),
            Row(#"{"method":"normal","shape":[2],"std":true}"#, 400, "/std", "number"),
            Row(#"{"method":"normal","shape":[2],"std":"1"}"#, 400, "/std", "number"),
            Row(#"{"method":"normal","shape":[2],"std":"NaNs"}"#, 400, "/std", "number"),
            Row(#"{"method":"normal","shape":[2],"std":null}"#, 400, "/std", "number"),
            Row(#"{"method":"normal","shape":[2],"std":-1e400}"#, 400, "/std", "float64"),
            Row(#"{"method":"normal","shape":[2],"std":"nan"}"#, 422, "/std", "deviation must be at least 0, not nan"),
            Row(#"{"method":"dirac","shape":[2,2,1],"groups":"1"}"#, 400, "/groups", "integer"),
            Row(#"{"method":"normal","shape":[2],"a/b~c":1}"#, 400, "/a~1b~0c", "unknown member"),
            Row(#"{"method":"constant","shape":[2],"val":1,"value":2}"#, 400, "/value", "another name of val"),
            Row(#"{"method":"xavier_normal","shape":[2,2],"gain":"relu"}"#, 400, "/gain", "nonlinearity"),
            Row(#"{"method":"xavier_normal","shape":[2,2],"gain":{}}"#, 400, "/gain/nonlinearity", "is missing"),
            Row(
                #"{"method":"xavier_normal","shape":[2,2],"gain":{"nonlinearity":"rleu"}}"#,
                400,
                "/gain/nonlinearity",
                "relu"
            ),
            Row(
                #"{"method":"xavier_normal","shape":[2,2],"gain":{"nonlinearity":"relu","slope":1}}"#,
                400,
                "/gain/slope",
                "unknown member"
            ),
            Row(#"{"seed":1,"blocks":[]}"#, 400, "/blocks", "unknown member"),
            Row(String(repeating: "[", count: 100), 400, String(repeating: "/0", count: 64), "more than 64 arrays"),
        ]
    )
    func json(_ row: Row) throws {
        for answer in [
            service.post("/init", row.request),
            service.ask(.get, "/init?request=" + encoded(row.request)),
        ] {
            #expect(answer.status == row.status, "\(answer.text)")
            let fault = try answer.fault()
            #expect(fault.pointer == row.place)
            #expect(fault.parameter == nil)
            #expect(fault.detail.contains(row.detail), "\(fault.detail)")
        }
    }

    @Test("Errors list accepted values, the nearest first")
    func allowed() throws {
        #expect(try service.ask(.get, "/init?method=kaiming_norml&shape=2,2").fault().allowed.first == "kaiming_normal")
        #expect(try service.ask(.get, "/init?method=normal&shape=2&dtype=bfloat").fault().allowed.first == "bfloat16")
        let members = try service.ask(.get, "/init?method=normal&shape=2&sdt=1").fault().allowed
        #expect(members.first == "std")
        let ofTensor: Set = ["method", "shape", "seed", "dtype", "cast", "slice", "format", "digest"]
        #expect(Set(members) == ofTensor.union(["mean", "std"]))
    }

    @Test(
        "A body of another media type is refused",
        arguments: [
            nil, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json",
        ]
    )
    func mediaType(_ contentType: String?) throws {
        let fields = contentType.map { ["Content-Type": $0] } ?? [:]
        let answer = service.ask(.post, "/init", fields, body: Array(#"{"method":"zeros","shape":[1]}"#.utf8))
        #expect(answer.status == 415)
        #expect(answer["Accept"] == "application/json")
        let found = contentType.map { "\"\($0)\"" } ?? "none"
        #expect(try answer.fault().detail == "the body must be application/json in UTF-8, found \(found)")
    }

    @Test(
        "A reply in another media type than those offered is refused, and what was asked for is repeated",
        arguments: [
            ("/init?method=zeros&shape=1", "none of the media types offered is acceptable"),
            ("/gain", "only application/json is offered here"),
            ("/fan?shape=1,1", "only application/json is offered here"),
        ]
    )
    func accept(_ target: String, _ detail: String) throws {
        for accept in ["text/html", "application/json;q=0", "application/json; q=0, image/*"] {
            let answer = service.ask(.get, target, ["Accept": accept])
            #expect(answer.status == 406)
            #expect(try answer.fault().detail == "\(detail), found \"\(accept)\"")
        }
        // No preference at all.
        for accept in ["", " ", ",", "nonsense"] {
            #expect(service.ask(.get, target, ["Accept": accept]).status == 200)
        }
    }

    @Test(
        "A member that is in the wrong place, or unknown, is named, whatever the route",
        arguments: ["/init", "/init/a.npy", "/explain", "/gain", "/fan", "/propagate"]
    )
    func strangers(_ path: String) throws {
        #expect(try service.ask(.get, path + "?foo=1").fault().parameter == "foo")
        #expect(try service.ask(.get, path + "?model=gpt2&foo=1").fault().parameter == "model")
        #expect(try service.ask(.get, path + "?request=%7B%22foo%22:1%7D").fault().pointer == "/foo")
        #expect(try service.post(path, #"{"foo":1}"#).fault().pointer == "/foo")
        let answer = service.post(path + "?foo=1&b=2", "{}")
        #expect(answer.status == 400)
        #expect(try answer.fault().parameter == "foo")
        #expect(try answer.fault().detail == "foo: a POST request has its members in the body, not in the query")
    }

    @Test(
        "So is one of a route that takes none",
        arguments: ["/methods", "/models", "/version", "/openapi.json", "/readyz", "/metrics", "/models/random/mlp"]
    )
    func strangersElsewhere(_ path: String) throws {
        let fault = try service.ask(.get, path + "?foo=1").fault()
        #expect(fault.parameter == "foo")
        #expect(fault.detail == #"foo: unknown member "foo""#)
    }

    @Test("The error about a member `model` says where models are", arguments: ["/init", "/explain"])
    func modelAsMember(_ path: String) throws {
        for query in ["model=gpt2", "model=random/gpt2&format=safetensors", "method=ones&shape=2&model=gpt2"] {
            let answer = service.ask(.get, "\(path)?\(query)")
            #expect(answer.status == 400)
            let fault = try answer.fault()
            #expect(fault.parameter == "model")
            #expect(
                fault.detail == #"model: unknown member "model"; models of the catalogue are at /models/{org}/{name}, "#
                    + "and /models lists them"
            )
        }
        #expect(try service.post(path, #"{"layers":[],"model":"gpt2"}"#).fault().detail.contains("/models/{org}"))
        #expect(try !service.ask(.get, "/gain?model=gpt2").fault().detail.contains("/models"))
        #expect(try !service.ask(.get, path + "?name=gpt2").fault().detail.contains("/models"))
    }

    @Test("A value whose escapes are broken is named by its member", arguments: ["%", "%zz", "%ff", "%00"])
    func brokenEscape(_ value: String) throws {
        let answer = service.ask(.get, "/init?shape=2&method=" + value)
        #expect(answer.status == 400)
        #expect(try answer.fault().parameter == "method")
        #expect(try service.ask(.get, "/init?shape=2&\(value)=1").fault().parameter == nil)
    }

    @Test("A compressed body is refused")
    func contentEncoding() throws {
        let json = #"{"method":"zeros","shape":[1]}"#
        let answer = service.post("/init", json, ["Content-Encoding": "gzip"])
        #expect(answer.status == 415)
        #expect(try answer.fault().detail == #"the body must not be encoded, found "gzip""#)
        #expect(service.post("/init", json, ["Content-Encoding": "identity"]).status == 200)
    }

    @Test("A long name is not repeated in full")
    func longName() throws {
        for (count, status) in [(500, 400), (100_000, 413)] {
            let name = String(repeating: "x", count: count)
            let answer = service.post("/init", #"{"method":"zeros","shape":[1],"\#(name)":1}"#)
            #expect(answer.status == status)
            #expect(try answer.fault().detail.utf8.count < 300)
        }
    }

    @Test(
        "JSON's media type may have a charset",
        arguments: [
            "application/json", "Application/JSON", "application/json; charset=utf-8",
            #"application/json;charset="UTF-8""#,
        ]
    )
    func charset(_ contentType: String) {
        let answer = service.post("/init", #"{"method":"zeros","shape":[1]}"#, ["Content-Type": contentType])
        #expect(answer.status == 200)
    }

    @Test("The error about a body over the limit names the limit")
    func bodyLimit() throws {
        var limits = ServiceLimits()
        limits.maximumBodyBytes = 40
        let service = InitService(limits: limits)
        let json = #"{"method":"zeros","shape":[1]}"#
        #expect(service.post("/init", json + String(repeating: " ", count: 10)).status == 200)
        let answer = service.post("/init", json + String(repeating: " ", count: 11))
        #expect(answer.status == 413)
        #expect(try answer.fault().detail.contains("--max-body-bytes"))
    }

    @Test("Members in both query and body are refused")
    func places() throws {
        #expect(service.post("/init?seed=1", #"{"method":"zeros","shape":[1]}"#).status == 400)
        #expect(service.ask(.get, "/init?method=zeros&shape=1", body: Array("{}".utf8)).status == 400)
        #expect(service.ask(.get, "/livez?x=1").status == 400)
    }

    @Test("A list of values past the parser's limit is refused as too large")
    func values() throws {
        let list = Array(repeating: "1", count: 200_000).joined(separator: ",")
        #expect(service.post("/init", #"{"method":"zeros","shape":[\#(list)]}"#).status == 413)
    }
}
