import ByteText
import Foundation
import HTTPExchange
import HTTPTypes
import InitAPI
import InitService
import Testing
import WeightInit

/// A stack of layers with PyTorch's results, written by `PropagationVectors/make_vectors.py`.
struct PropagationVector: Decodable, Sendable, CustomTestStringConvertible {
    struct Variances: Decodable, Sendable {
        var forward: [Double]
        var backward: [Double]
    }

    struct Moments: Decodable, Sendable {
        var value: Double
        var derivative: Double
    }

    /// Allowed relative differences from PyTorch's numbers.
    struct Tolerance: Decodable, Sendable {
        var slope: Double
        var measured: Double
    }

    var widths: [Int]
    var std: [Double]
    var moments: Moments
    var tolerance: Tolerance
    var theory: Variances
    var measured: Variances
    /// The request as JSON.
    var request = ""

    enum CodingKeys: CodingKey {
        case widths, std, moments, tolerance, theory, measured
    }

    var testDescription: String { request }

    static let all: [PropagationVector] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../PropagationVectors/stacks.jsonl")
        let lines = ((try? String(contentsOf: file, encoding: .utf8)) ?? "").split(separator: "\n")
        return lines.compactMap { line in
            // The request comes first in its line, and contains no nested object.
            guard let start = line.range(of: #""request": "#)?.upperBound, let end = line.firstIndex(of: "}"),
                var vector = try? JSONDecoder().decode(PropagationVector.self, from: Data(line.utf8))
            else { return nil }
            vector.request = String(line[start...end])
            return vector
        }
    }()
}

/// A reply of `/propagate`.
private struct Reply: Decodable {
    struct Pair: Decodable {
        var theory: Double
        var measured: Double?
    }

    struct Layer: Decodable {
        var layer: Int
        var fan_in: Int
        var fan_out: Int
        var std: Double
        var forward: Pair
        var backward: Pair
    }

    struct Mode: Decodable {
        var mode: String
        var forward: Double
        var backward: Double
    }

    var runs: Int
    var moments: PropagationVector.Moments
    var layers: [Layer]
    var modes: [Mode]
    var advice: [String]

    init(_ answer: Answer) throws {
        #expect(answer.status == 200, "\(answer.text)")
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf",
            negativeInfinity: "-inf",
            nan: "nan"
        )
        self = try decoder.decode(Reply.self, from: Data(answer.body))
    }
}

private func isClose(_ a: Double?, _ b: Double, _ tolerance: Double = 1e-9) -> Bool {
    guard let a else { return false }
    return abs(a - b) <= tolerance * abs(b)
}

@Suite("Variance through a stack of layers")
struct PropagationTests {
    let service = InitService()

    @Test("Theory and runs are PyTorch's", arguments: PropagationVector.all)
    func vectors(_ vector: PropagationVector) throws {
        let reply = try Reply(service.post("/propagate", vector.request))
        #expect(isClose(reply.moments.value, vector.moments.value))
        let slope = vector.tolerance.slope
        #expect(isClose(reply.moments.derivative, vector.moments.derivative, slope))
        #expect(reply.layers.map(\.layer) == Array(1..<vector.widths.count))
        #expect(reply.layers.map(\.fan_in) == vector.widths.dropLast())
        #expect(reply.layers.map(\.fan_out) == Array(vector.widths.dropFirst()))
        for (index, layer) in reply.layers.enumerated() {
            #expect(isClose(layer.std, vector.std[index]))
            #expect(isClose(layer.forward.theory, vector.theory.forward[index]))
            #expect(isClose(layer.backward.theory, vector.theory.backward[index], slope))
            #expect(isClose(layer.forward.measured, vector.measured.forward[index], vector.tolerance.measured))
            #expect(isClose(layer.backward.measured, vector.measured.backward[index], vector.tolerance.measured))
        }
    }

    @Test("Every activation has a vector")
    func coverage() {
        let names = Set(Nonlinearity.all.map(\.name).filter { !$0.hasPrefix("conv") })
        let covered = names.filter { name in PropagationVector.all.contains { $0.request.contains("\"\(name)\"") } }
        #expect(covered == names)
    }

    @Test(
        "ReLU layers follow equations 10 and 14 of He et al. 2015",
        arguments: [("fan_in", 1.0, 0.25), ("fan_out", 4.0, 1.0)]
    )
    func reluModes(_ mode: String, _ forward: Double, _ backward: Double) throws {
        let reply = try Reply(service.ask(.get, "/propagate?depth=10&width_in=64&width_out=16&runs=0&mode=" + mode))
        #expect(reply.moments.value == 0.5 && reply.moments.derivative == 0.5)
        #expect(isClose(reply.layers.last?.forward.theory, forward, 1e-12))
        #expect(isClose(reply.layers.first?.backward.theory, backward, 1e-12))
        for layer in reply.layers {
            #expect(isClose(mode == "fan_in" ? layer.forward.theory : layer.backward.theory, 1, 1e-12))
            #expect(layer.forward.measured == nil)
        }
        #expect(reply.modes.map(\.mode) == ["fan_in", "fan_out"])
        #expect(
            reply.modes.contains { $0.mode == mode && isClose($0.forward, forward) && isClose($0.backward, backward) }
        )
    }

    @Test("Linear layers multiply variance by fan · var w", arguments: [0.01, 0.125, 1])
    func linear(_ std: Double) throws {
        let reply = try Reply(
            service.ask(.get, "/propagate?nonlinearity=linear&method=normal&std=\(std)&width_in=64&width_out=64&runs=0")
        )
        for layer in reply.layers {
            #expect(isClose(layer.forward.theory, pow(64 * std * std, Double(layer.layer)), 1e-12))
            #expect(isClose(layer.backward.theory, pow(64 * std * std, Double(17 - layer.layer)), 1e-12))
        }
    }

    @Test("The advice names the mode with the smaller change of variance")
    func advice() throws {
        func advice(_ query: String) throws -> [String] {
            let advice = try Reply(service.ask(.get, "/propagate?runs=0&" + query)).advice
            #expect(advice.count == 2)
            for sentence in advice { #expect(sentence.hasSuffix(".") && !sentence.contains("nan")) }
            return advice
        }
        let relu = try advice("")
        // A tie, which both sentences say.
        #expect(relu[0].hasPrefix("With kaiming_normal, either mode will do, and fan_in, the default, is fine:"))
        #expect(relu[0].contains("×1,") && relu[0].contains("×0.25.") && relu[0].contains("equation 10"))
        #expect(relu[1].contains("×4,") && relu[1].contains("as far off") && relu[1].contains("equation 14"))
        #expect(try advice("width_out=512")[0].contains("the same number"))
        // A gain of 1 halves the variance at every ReLU; fan_out compensates for some of it if the stack narrows.
        let halved = try advice("gain=1&width_in=400&width_out=100")
        #expect(halved[0].hasPrefix("With kaiming_normal and gain 1, choose fan_out, which strays less:"))
        #expect(halved[1].contains("layer by layer, with relu and gain 1, and neither mode corrects it"))
        #expect(halved[1].hasSuffix("corrects it; if no gain is given, kaiming takes that of relu, 1.41."))
        let other = try advice("method=kaiming_uniform&gain=gelu&width_out=512")
        #expect(other[0].hasPrefix("With kaiming_uniform and the gain of gelu, choose fan_in, the default:"))
        #expect(other[1].contains("with relu and the gain of gelu") && other[1].hasSuffix("takes that of relu, 1.41."))
        let leaky = try advice("gain=leaky_relu:0.2")
        #expect(leaky[0].hasPrefix("With kaiming_normal and the gain of leaky_relu:0.2, choose"))
        let sigmoid = try advice("nonlinearity=sigmoid&depth=200&width_out=512")
        #expect(sigmoid[1].contains("with sigmoid and its gain") && !sigmoid[1].contains("no gain is given"))
        #expect(try advice("nonlinearity=sigmoid&depth=200")[0].contains("e-"))
        // The advice is about kaiming, whatever the method.
        #expect(try advice("method=normal&std=0.001") == relu)
        #expect(try advice("method=xavier_normal&gain=4") == relu)
    }

    @Test("Spellings of a request have one canonical form")
    func forms() throws {
        let query = service.ask(
            .get,
            "/propagate?depth=3&width_in=20&width_out=10&method=he_uniform_&gain=leaky_relu:0.2&seed=7&runs=2"
        )
        #expect(query.status == 200)
        #expect(query["Cache-Control"] == "public, max-age=31536000, immutable")
        let json =
            #"{"runs":2,"seed":"7","depth":3,"width_in":20,"width_out":10,"method":"kaiming_uniform","#
            + #""gain":{"nonlinearity":"leaky_relu","param":0.2},"nonlinearity":"relu"}"#
        let posted = service.post("/propagate", json)
        #expect(posted.body == query.body)
        #expect(posted["ETag"] == query["ETag"])
        let location = try #require(posted["Content-Location"])
        #expect(service.ask(.get, location).body == query.body)
        #expect(service.ask(.get, "/propagate?request=" + encoded(json)).body == query.body)
        #expect(service.ask(.get, location, ["If-None-Match": try #require(query["ETag"])]).status == 304)
        let head = service.ask(.head, location)
        #expect(head.status == 200 && head.body.isEmpty && head["ETag"] == query["ETag"])
        #expect(service.ask(.get, location + "&mode=fan_out")["ETag"] != query["ETag"])
        #expect(service.ask(.get, location, ["Accept": "text/html"]).status == 406)
    }

    @Test("The seed decides, and only its low 32 bits")
    func seeds() {
        let target = "/propagate?depth=2&width_in=20&width_out=10&runs=2&seed="
        let layers = ["1", "4294967297", "-4294967295"].map { seed in
            let text = service.ask(.get, target + seed).text
            return text[(text.range(of: #""layers""#)?.lowerBound ?? text.startIndex)...]
        }
        #expect(layers[0] == layers[1] && layers[0] == layers[2])
        #expect(!service.ask(.get, target + "2").text.hasSuffix(layers[0]))
    }

    @Test("Only long work of /propagate is deferred")
    func deferral() {
        #expect(!service.ask(.get, "/propagate?depth=4&width_in=50&width_out=20&runs=2").wasDeferred)
        #expect(service.ask(.get, "/propagate").wasDeferred)
        #expect(service.ask(.get, "/propagate?nonlinearity=tanh&depth=64&width_in=8&width_out=8&runs=1").wasDeferred)
        #expect(service.ask(.get, "/propagate?depth=1000&runs=0").wasDeferred)
        #expect(service.ask(.get, "/propagate?method=orthogonal&depth=2&width_in=9&width_out=9&runs=1").wasDeferred)
        #expect(!service.ask(.head, "/propagate").wasDeferred)
    }

    @Test("Work stops when its client has gone")
    func cancellation() throws {
        let relu = try #require(Nonlinearity.named("relu"))
        let method = try #require(InitMethod.named("normal"))
        let stack = LayerStack(depth: 3, inputWidth: 8, outputWidth: 8, nonlinearity: relu, method: method)
        let propagation = try Propagation(stack, limits: Limits())
        #expect(propagation.theory { true } == nil)
        let experiment = try propagation.experiment(seed: Seed(UInt64(1)), runs: 2, limits: Limits())
        #expect(experiment.weightCount == 2 * 3 * 64)
        #expect(try experiment.measure { true } == nil)
        var asked = 0
        #expect(
            try experiment.measure {
                asked += 1
                return asked > 5
            } == nil
        )
    }

    @Test("Runs whose numbers overflow are reported")
    func overflow() throws {
        let stack = "depth=400&width_in=32&width_out=32&runs=1&method=normal&std=100&nonlinearity="
        let reply = try Reply(service.ask(.get, "/propagate?" + stack + "linear"))
        #expect(reply.layers.last?.forward.theory == .infinity)
        #expect(reply.layers.last?.forward.measured?.isFinite == false)
        _ = try Reply(service.ask(.get, "/propagate?" + stack + "silu"))
        _ = try Reply(service.ask(.get, "/propagate?" + stack + "gelu_tanh&param=1e308"))
    }

    @Test(
        "Errors of /propagate name the fault",
        arguments: [
            ("depth=0", 400, "depth"), ("depth=-1", 400, "depth"), ("depth=1152921504606846976", 413, "depth"),
            ("depth=9223372036854775808", 400, "depth"), ("depth=2.5", 400, "depth"), ("depth=nan", 400, "depth"),
            ("depth=10001&runs=0", 413, "depth"),
            ("width_in=0", 400, "width_in"), ("width_out=-3", 400, "width_out"),
            ("width_in=9223372036854775807&width_out=1&runs=0", 413, "width_in"),
            ("width_in=9223372036854775807&width_out=1&depth=1&runs=1", 413, "runs"),
            ("width_in=4294967296&width_out=4294967296", 413, "width_in"),
            ("width_in=100000&width_out=100000", 413, "runs"), ("runs=1000000", 413, "runs"),
            ("runs=9223372036854775807", 413, "runs"), ("runs=-1", 400, "runs"),
            ("nonlinearity=rleu", 400, "nonlinearity"), ("nonlinearity=leaky_relu&param=nan", 422, "param"),
            ("nonlinearity=leaky_relu&param=inf", 422, "param"), ("nonlinearity=celu&param=0", 422, "param"),
            ("nonlinearity=leaky_relu&param=1e200", 422, "param"),
            ("nonlinearity=elu&param=1e300", 422, "param"), ("param=nan", 422, "param"),
            ("method=zeros", 422, "method"), ("method=eye", 422, "method"), ("method=kaiming", 400, "method"),
            ("method=uniform", 422, "a"), ("method=normal&mean=1", 422, "mean"), ("method=normal&std=-1", 422, "std"),
            ("method=trunc_normal&mean=0.5", 422, "mean"), ("method=sparse", 400, "sparsity"),
            ("method=orthogonal&width_in=20000&width_out=20000&depth=1&runs=0", 413, "width_in"),
            ("mode=fan", 400, "mode"), ("a=0.2", 400, "a"), ("gain=relu&method=normal", 400, "gain"),
            ("gain=rleu", 400, "gain"), ("seed=1.5", 400, "seed"), ("shape=2,2", 400, "shape"),
        ]
    )
    func refusals(_ query: String, _ status: Int, _ parameter: String) throws {
        let answer = service.ask(.get, "/propagate?" + query)
        #expect(answer.status == status, "\(answer.text.prefix(500))")
        #expect(try answer.fault().parameter == parameter)
    }

    @Test("Errors of /propagate name the limit")
    func limits() throws {
        var limits = ServiceLimits()
        limits.tensors.maximumPropagatedWeights = 1000
        let service = InitService(limits: limits)
        #expect(service.ask(.get, "/propagate?depth=1&width_in=100&width_out=10&runs=1").status == 200)
        let weights = service.ask(.get, "/propagate?depth=1&width_in=100&width_out=10&runs=2")
        #expect(weights.status == 413)
        #expect(try weights.fault().detail.contains("--max-propagated-weights"))
        #expect(try weights.fault().maximum == 1)
        #expect(try service.ask(.get, "/propagate?depth=3&width_in=20&width_out=20").fault().maximum == 0)
        let uncounted = service.ask(.get, "/propagate?depth=9&width_in=3000000000&width_out=3000000000")
        #expect(try uncounted.fault().maximum == 0)
        let layers = try service.ask(.get, "/propagate?depth=10001").fault()
        #expect(layers.detail.contains("--max-layers") && layers.maximum == 10_000)
        var small = ServiceLimits()
        small.maximumWorkBytes = 1 << 20
        let memory = InitService(limits: small).ask(.get, "/propagate?depth=1&width_in=1000000&width_out=1&runs=1")
        #expect(memory.status == 413)
        #expect(try memory.fault().detail.contains("--max-work-bytes"))
    }

    @Test("The catalogue has what a request may hold")
    func catalogue() throws {
        let catalogue = try #require(try service.ask(.get, "/methods").json()["propagate"] as? [String: Any])
        let methods = try #require(catalogue["methods"] as? [[String: Any]])
        for method in methods {
            let name = try #require(method["name"] as? String)
            let parameters = try #require(method["parameters"] as? [[String: Any]])
            let required = parameters.filter { $0["required"] as? Bool == true }.compactMap { $0["name"] as? String }
            let query = required.map { "&\($0)=0.5" }.joined() + (name == "uniform" ? "&a=-1" : "")
            let answer = service.ask(.get, "/propagate?depth=2&width_in=4&width_out=4&method=\(name)\(query)")
            #expect(answer.status == 200, "\(answer.text)")
        }
        #expect((catalogue["parameters"] as? [[String: Any]])?.compactMap { $0["name"] as? String }.first == "depth")
    }

    @Test("No request to /propagate traps", arguments: 0..<8)
    func hostile(_ seed: UInt64) {
        var limits = ServiceLimits()
        limits.tensors.maximumPropagatedWeights = 1 << 12
        limits.tensors.maximumLayers = 20
        let service = InitService(limits: limits)
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func pick(_ words: [String]) -> String {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return words[Int((state >> 33) % UInt64(words.count))]
        }
        let numbers = [
            "0", "1", "2", "3", "17", "-1", "1e308", "-1e308", "5e-324", "inf", "-inf", "nan", "9223372036854775807",
            "-9223372036854775808", "18446744073709551615", "1152921504606846976", "4611686018427387905", "",
        ]
        let names = [
            "depth", "width_in", "width_out", "param", "runs", "seed", "std", "a", "b", "gain", "mean", "sparsity",
        ]
        for _ in 0..<300 {
            var query =
                "nonlinearity=" + pick(Nonlinearity.all.map(\.name.description)) + "&method="
                + pick(InitMethod.all.map(\.name.description))
            var used: Set<String> = []
            for _ in 0..<4 {
                let name = pick(names)
                if used.insert(name).inserted { query += "&\(name)=" + pick(numbers) }
            }
            let answer = service.ask(.get, "/propagate?" + query)
            #expect([200, 400, 413, 422].contains(answer.status), "\(query): \(answer.text.prefix(300))")
        }
    }
}
