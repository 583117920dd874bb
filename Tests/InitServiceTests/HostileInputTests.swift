import HTTPTypes
import InitAPI
import InitService
import Testing
import WeightInit

@Suite("Nothing that a client sends traps")
struct HostileInputTests {
    /// A generator with a fixed seed, for the same requests in every run.
    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    private static let words = [
        "method", "shape", "seed", "dtype", "format", "gain", "a", "b", "mean", "std", "value", "mode", "groups",
        "sparsity",
        "nonlinearity", "param", "layout", "transposed", "request", "normal", "uniform", "trunc_normal", "constant",
        "eye",
        "dirac", "xavier_uniform", "kaiming_normal", "orthogonal", "sparse", "zeros", "json", "raw", "npy",
        "safetensors",
        "summary", "float16", "bfloat16", "float64", "leaky_relu", "leaky_relu:-3", "relu", "gelu:", "inf", "-inf",
        "nan", "0",
        "-0", "1", "-1", "2,3", "3,3,3", "2,0", "0,9223372036854775807", "[4,4]", "[", "]", ",", "1e308", "-1e308",
        "5e-324",
        "1e400", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "4611686018427387904", "true",
        "%",
        "%00", "%2F", "+", "", "é", "\u{0}", "{}", "{\"method\":\"normal\",\"shape\":[2]}", "null", "[]", "\"",
    ]

    private func finish(_ answer: Answer) -> Bool {
        [200, 400, 404, 406, 413, 415, 422].contains(answer.status)
    }

    @Test("A hostile query does not trap", arguments: 0..<8)
    func queries(_ seed: UInt64) {
        let service = InitService(limits: small)
        var random = Random(state: seed)
        for _ in 0..<500 {
            let path = ["/init", "/explain", "/fan", "/gain"].randomElement(using: &random) ?? "/init"
            let parameters = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                let name = Self.words.randomElement(using: &random) ?? ""
                let value = Self.words.randomElement(using: &random) ?? ""
                return Bool.random(using: &random) ? name + "=" + value : encoded(name) + "=" + encoded(value)
            }
            let target = path + "?" + parameters.joined(separator: "&")
            #expect(finish(service.ask(.get, target)), "\(target)")
        }
    }

    @Test("A query with one odd value does not trap", arguments: 0..<8)
    func values(_ seed: UInt64) {
        let service = InitService(limits: small)
        var random = Random(state: seed)
        let methods = [
            "uniform": ["a", "b"], "normal": ["mean", "std"], "trunc_normal": ["mean", "std", "a", "b"],
            "constant": ["value"], "dirac": ["groups"], "xavier_normal": ["gain"], "kaiming_uniform": ["a", "gain"],
            "orthogonal": ["gain"], "sparse": ["sparsity", "std"],
        ].sorted { $0.key < $1.key }
        let shapes = ["", "0", "1", "5", "2,3", "4,0", "0,4", "3,3,3", "2,2,2,2", "2,2,2,2,2", "1,1,1,1,1,1"]
        let numbers = Self.words.filter { $0.first?.isNumber == true || $0.hasPrefix("-") || $0.count == 3 }
        for _ in 0..<300 {
            guard let (method, parameters) = methods.randomElement(using: &random),
                let shape = shapes.randomElement(using: &random),
                let dtype = ["float32", "float64", "float16", "bfloat16"].randomElement(using: &random),
                let format = ["json", "raw", "npy", "safetensors", "summary"].randomElement(using: &random)
            else { return }
            let values = parameters.map { $0 + "=" + (numbers.randomElement(using: &random) ?? "") }
            let target =
                "/init?method=\(method)&shape=\(shape)&dtype=\(dtype)&format=\(format)&" + values.joined(separator: "&")
            #expect(finish(service.ask(.get, target)), "\(target)")
        }
    }

    @Test("Hostile JSON does not trap", arguments: 0..<8)
    func bodies(_ seed: UInt64) {
        let service = InitService(limits: small)
        var random = Random(state: seed)
        let base = Array(
            #"{"method":"kaiming_normal","shape":[4,3,2],"seed":"-7","gain":{"nonlinearity":"relu","param":1e-3}}"#.utf8
        )
        for _ in 0..<500 {
            var body = base
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<body.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: body[index] = UInt8.random(in: 0...255, using: &random)
                case 1: body.remove(at: index)
                default: body.insert(contentsOf: (Self.words.randomElement(using: &random) ?? "").utf8, at: index)
                }
            }
            let answer = service.ask(.post, "/init", ["Content-Type": "application/json"], body: body)
            #expect(finish(answer), "\(String(decoding: body, as: UTF8.self))")
        }
    }

    @Test("Hostile header fields do not trap", arguments: 0..<4)
    func fields(_ seed: UInt64) {
        let service = InitService(limits: small)
        var random = Random(state: seed)
        let pieces = [
            "bytes", "=", "0", "-", "9", ",", " ", "\"", "W/", "*", "/", ";", "q=", "application", "json", "x-npy", "é",
            "\\",
        ]
        for _ in 0..<500 {
            var fields: [String: String] = [:]
            for name in ["Range", "If-Range", "If-None-Match", "If-Match", "Accept"] where Bool.random(using: &random) {
                fields[name] = (0..<Int.random(in: 0...6, using: &random))
                    .map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            }
            let answer = service.ask(.get, "/init?method=ones&shape=3&format=raw", fields)
            #expect([200, 206, 304, 412, 416].contains(answer.status), "\(fields)")
        }
    }

    @Test(
        "A shape with endless empty lists does not trap",
        arguments: ["sparse&sparsity=0.9", "orthogonal", "eye", "normal", "trunc_normal", "xavier_normal", "zeros"],
        ["0,9223372036854775807", "9223372036854775807,0"]
    )
    func endlessNothing(_ method: String, _ shape: String) {
        let service = InitService(limits: small)
        for format in ["raw", "summary", "safetensors"] {
            let target = "/init?method=\(method)&shape=\(shape)&format=\(format)"
            let answer = service.ask(.get, target)
            #expect([200, 413, 422].contains(answer.status), "\(target): \(answer.text)")
        }
    }

    /// Limits so small that no request takes long.
    private var small: ServiceLimits {
        var limits = ServiceLimits()
        limits.tensors.maximumTensorBytes = 1 << 16
        limits.maximumSummaryElements = 1 << 12
        limits.maximumJSONElements = 1 << 12
        return limits
    }
}
