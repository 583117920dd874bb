import Foundation
import TestSupport
import Testing

@Suite("The commands explain, gain and fan", .serialized)
struct QuestionCommandTests {
    @Test(
        "The commands print what the routes answer",
        arguments: [
            (["gain", "relu"], "/gain?nonlinearity=relu"),
            (["gain", "leaky_relu", "0.2"], "/gain?nonlinearity=leaky_relu&param=0.2"),
            (["gain"], "/gain"),
            (["fan", "64,3,7,7"], "/fan?shape=64,3,7,7"),
            (["fan", "[6,4]", "--mode", "fan_out"], "/fan?shape=%5B6,4%5D&mode=fan_out"),
            (
                ["fan", "7,7,3,64", "--layout=keras", "--groups", "1", "--transposed"],
                "/fan?shape=7,7,3,64&layout=keras&groups=1&transposed=true"
            ),
            (
                ["explain", "--method", "trunc_normal", "--shape", "3,4", "--a", "-1", "--seed", "-5"],
                "/explain?method=trunc_normal&shape=3,4&a=-1&seed=-5"
            ),
            (
                ["explain", "--method", "normal", "--shape", "4", "--format", "npy", "--slice", "-2:"],
                "/explain?method=normal&shape=4&format=npy&slice=-2:"
            ),
        ]
    )
    func answers(_ arguments: [String], _ target: String) throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let response = try server.get(target)
        try #require(response.status == 200)
        let result = try Workplace().run(arguments)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output == response.text + "\n")
    }

    @Test("Explain prints the plan of a model")
    func model() throws {
        let workplace = try Workplace()
        try workplace.write(#"{"tensors": [{"shape": [2], "method": "ones"}], "seed": 9}"#.utf8, to: "m.json")
        let result = try workplace.run(["explain", "--model", "m.json", "--dtype", "float64"])
        #expect(result.output.contains(#""seed":9,"effective_seed":9,"#))
        #expect(result.output.contains(#""dtype":"float64""#))
    }

    @Test(
        "A terminal shows aligned lines",
        arguments: [
            (["gain", "relu"], "nonlinearity  relu\ngain          1.4142135623730951\nconvention    torch\n"),
            (
                ["fan", "6,4", "--groups", "2"],
                "shape              [6,4]\nfan_in             4\nfan_out            6\neffective.fan_in   4\n"
                    + "effective.fan_out  3\n"
            ),
        ]
    )
    func terminal(_ arguments: [String], _ table: String) throws {
        let shown = try Terminal().run(arguments, showing: .output, in: Workplace())
        #expect(shown.status == 0)
        #expect(shown.text == table)
    }

    @Test("A terminal shows lists as columns")
    func columns() throws {
        let workplace = try Workplace()
        let gains = try Terminal().run(["gain"], showing: .output, in: workplace).text.split(separator: "\n")
        let column = try #require(gains.first?.firstRange(of: "gain")?.lowerBound)
        #expect(gains.count > 20)
        for line in gains.dropFirst() {
            let offset = gains[0].distance(from: gains[0].startIndex, to: column)
            #expect(Array(line)[offset].isNumber && Array(line)[offset - 1] == " ", "\(line)")
        }
        let tensors = #"[{"name": "a", "shape": [2], "method": "ones"}, {"name": "b", "shape": [3], "method": "ones"}]"#
        try workplace.write("{\"tensors\": \(tensors)}".utf8, to: "m.json")
        let plan = try Terminal().run(["explain", "--model", "m.json"], showing: .output, in: workplace).text
        #expect(plan.contains("\nbytes           20\n"), "\(plan)")
        #expect(plan.contains("\nall dtype                float32\n"), "\(plan)")
        #expect(plan.hasSuffix("\n\nname  shape  bytes\na     [2]    8\nb     [3]    12\n"), "\(plan)")
    }

    @Test(
        "A refused question is one sentence",
        arguments: [
            (["gain", "relux"], #"nonlinearity: unknown activation "relux"; did you mean relu?"#),
            (["gain", "leaky_relu", "x"], "param: must be a number"),
            (["fan", "4"], "shape: "),
            (["fan", "6,4", "--mode", "fan"], "--mode: unknown value \"fan\"; did you mean fan_in or fan_out?"),
            (["fan"], "Missing expected argument '<shape>'"),
            (["explain", "--method", "dirac", "--shape", "4,4,3", "--groups", "3"], "--groups: "),
            (["explain", "--model", "no.json"], "cannot read no.json: No such file or directory"),
        ]
    )
    func mistakes(_ arguments: [String], _ sentence: String) throws {
        let result = try Workplace().run(arguments)
        #expect(result.status == (sentence.hasPrefix("cannot") ? 1 : 64))
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("weight-init: \(sentence)"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }
}
