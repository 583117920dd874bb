import ByteText
import Foundation
import TestSupport
import Testing
import WeightInit

@Suite("The command methods", .serialized)
struct MethodsCommandTests {
    @Test("Methods prints what /methods answers")
    func json() throws {
        let server = try Server(["serve", "--port", "0"], [:])
        defer { server.kill() }
        let response = try server.get("/methods")
        #expect(response.status == 200)
        #expect(try run("methods").output == response.text + "\n")
        let whole = try #require(try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any])
        for list in ["methods", "activations", "dtypes", "formats", "layers"] {
            let text = try run("methods", list, "--format", "json").output
            let part = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(part.keys.map { $0 } == [list])
            #expect(part[list] as? NSArray == whole[list] as? NSArray)
        }
    }

    @Test("The table has every method with its arguments, and every other name of the catalogue")
    func table() throws {
        let text = try run("methods", "--format", "table").output
        let lines = text.split(separator: "\n")
        func line(_ name: Text) -> Substring? { lines.first { $0.hasPrefix("\(name) ") || $0 == "\(name)" } }
        for method in InitMethod.all {
            let line = try #require(line(method.name), "\(method.name)")
            for parameter in method.parameters {
                #expect(line.contains(" \(parameter.name)"), "\(method.name) \(parameter.name)")
                for alias in method.aliases { #expect(line.contains(alias.description)) }
            }
        }
        #expect(line("uniform")?.hasSuffix(" a=0.0 b=1.0") == true)
        #expect(line("sparse")?.hasSuffix(" sparsity std=0.01") == true)
        for activation in Nonlinearity.all { #expect(line(activation.name) != nil, "\(activation.name)") }
        for dtype in DType.requestable { #expect(line(dtype.word) != nil, "\(dtype)") }
        for type in LayerType.all { #expect(line(type.name) != nil, "\(type.name)") }
        #expect(line("safetensors")?.contains("any number  float32, float64, float16, bfloat16") == true)
        #expect(lines.filter { $0.hasPrefix("npy ") }.allSatisfy { !$0.contains("bfloat16") })
        for line in lines { #expect(line.count <= 100, "\(line)") }
    }

    @Test("The table of models fits a terminal, with numbers aligned at the right")
    func models() throws {
        let shown = try Terminal(columns: 80).run(["models"], ["TERM": "dumb"], showing: .output, in: Workplace())
        let lines = shown.text.split(separator: "\n").map { $0.replacing("\r", with: "") }
        #expect(lines.first == "model                   tensors      parameters     size  description")
        let llama = try #require(lines.first { $0.hasPrefix("random/llama-3-70b ") })
        #expect(llama.hasPrefix("random/llama-3-70b          723  70 553 706 496   141 GB  Llama 3 70B"))
        let lenet = try #require(lines.first { $0.hasPrefix("random/lenet5 ") })
        #expect(lenet.hasPrefix("random/lenet5                10          61 706   247 kB  LeNet-5"))
        for line in lines { #expect(line.count <= 80, "\(line)") }
    }

    @Test("A terminal shows the table of the named list, its heading in bold")
    func terminal() throws {
        let shown = try Terminal().run(["methods", "dtypes"], ["TERM": "xterm"], showing: .output, in: Workplace())
        let lines = shown.text.split(separator: "\n")
        #expect(lines.first == "\u{1b}[1mdtype     bytes  aliases\u{1b}[0m")
        #expect(lines.count == 1 + DType.requestable.count)
    }
}

@Suite("Colours and pictures on a terminal", .serialized)
struct PictureTests {
    private static let request = ["init", "--method", "normal", "--shape", "200,50", "--seed", "3"]

    @Test("A summary on a terminal has the histogram of the summary in JSON, and its statistics")
    func histogram() throws {
        let workplace = try Workplace()
        let json = try workplace.run(Self.request + ["--format", "summary"])
        #expect(try workplace.run(Self.request + ["--summary"]).output == json.output)
        let summary = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        let histogram = try #require(summary["histogram"] as? [String: Any])
        let counts = try #require(histogram["counts"] as? [Int])
        let most = try #require(counts.max())
        for option in [["--summary"], ["--format", "summary"]] {
            let shown = try Terminal().run(Self.request + option, showing: .output, in: workplace)
            #expect(shown.status == 0)
            let lines = shown.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            for name in ["mean", "std", "min", "max", "sha256"] {
                let line = try #require(lines.first { $0.hasPrefix(name + " ") }, "\(shown.text)")
                let value = try #require(line.split(separator: " ").last)
                #expect(
                    json.output.contains("\"\(name)\":\(value)") || json.output.contains("\"\(name)\":\"\(value)\"")
                )
            }
            let bars = lines.filter { $0.contains(" |") }.map { Array($0.drop { $0 != "|" }.dropFirst()) }
            #expect(bars.count == 8)
            for (bin, count) in counts.enumerated() {
                let height = Int((Double(count) / Double(most) * 8).rounded())
                for cell in [2 * bin, 2 * bin + 1] {
                    let signs = bars.map { $0.indices.contains(cell) ? $0[cell] : " " }
                    #expect(signs.count { $0 == "#" } == height, "bin \(bin)")
                    #expect((signs.last == ".") == (count > 0 && height == 0), "bin \(bin)")
                }
            }
            #expect(lines.contains { $0.hasPrefix("\(most) |") })
            // Four standard deviations on either side.
            let edges = try #require(lines.first { $0.hasSuffix(" 4") })
            #expect(edges.split(separator: " ") == ["-4", "0", "4"])
        }
    }

    @Test("A summary of a model has a line for each tensor")
    func model() throws {
        let workplace = try Workplace()
        let entries = ["normal", "zeros"].map { #"{"name": "\#($0)", "shape": [10, 10], "method": "\#($0)"}"# }
        let empty = #"{"name": "none", "shape": [0], "method": "ones"}"#
        try workplace.write(#"{"tensors": [\#(entries[0]), \#(entries[1]), \#(empty)]}"#.utf8, to: "m.json")
        let shown = try Terminal().run(["init", "--model", "m.json", "--summary"], showing: .output, in: workplace)
        #expect(shown.status == 0)
        let lines = shown.text.split(separator: "\n")
        let normal = try #require(lines.first { $0.hasPrefix("normal ") }, "\(shown.text)")
        let strip = try #require(normal.firstMatch(of: /\|(.{32})\|$/)).1
        // The fullest bins are in the middle, and the bins at the ends are empty.
        #expect(strip.contains("@") && strip.hasPrefix(" ") && strip.hasSuffix(" "))
        let zeros = try #require(lines.first { $0.hasPrefix("zeros ") })
        #expect(zeros.contains("[10,10]  0 "))
        #expect(zeros.count { $0 == "@" } == 1)
        let none = try #require(lines.first { $0.hasPrefix("none ") })
        #expect(none.split(separator: " ") == ["none", "[0]", "–", "–", "–", "–"])
    }

    @Test(
        "Colours need a terminal that can show them, and NO_COLOR turns them off",
        arguments: [
            (["TERM": "xterm-256color"], true), (["TERM": "xterm", "NO_COLOR": ""], true), (["TERM": "dumb"], false),
            (["TERM": "xterm", "NO_COLOR": "1"], false), (["TERM": ""], false), ([:], false),
        ]
    )
    func colours(_ environment: [String: String], _ isColoured: Bool) throws {
        for arguments in [Self.request + ["--summary"], ["methods"], ["gain"], ["verify", "--kernel", "portable"]] {
            let shown = try Terminal().run(arguments, environment, showing: .output, in: Workplace())
            #expect(shown.status == 0)
            #expect(shown.text.utf8.contains(0x1b) == isColoured, "\(arguments)")
            // Every colour is reset on its own line.
            let starts = shown.text.matches(of: /\u{1b}\[[1-9][0-9]*m/).count
            #expect(starts == shown.text.matches(of: /\u{1b}\[0m/).count)
            #expect(!shown.text.contains(try Regex("\\u{1b}\\[[1-9][0-9]*m[^\\u{1b}]*\n")))
        }
    }

    @Test("Output to a pipe has no colours")
    func pipe() throws {
        for arguments in [
            Self.request + ["--summary"], ["methods", "--format", "table"], ["gain", "--format", "table"],
        ] {
            #expect(try !run(arguments, ["TERM": "xterm"]).output.utf8.contains(0x1b))
        }
    }
}
