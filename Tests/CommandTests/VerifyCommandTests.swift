import ByteText
import Foundation
import Testing
import WeightInit

@Suite("The command verify", .serialized)
struct VerifyCommandTests {
    private static func lines(of file: String) throws -> [String] {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/CEmbeddedFiles")
        return try String(contentsOf: sources.appending(path: file), encoding: .utf8).split(separator: "\n").map(
            String.init
        )
    }

    /// Lines of the vectors that PyTorch made.
    private var lines: [String] {
        get throws { try Self.lines(of: "vectors.txt") }
    }

    @Test("Verify finds PyTorch's numbers with every kernel of this machine")
    func agreement() throws {
        let result = try Workplace().run(["verify"])
        #expect(result.status == 0)
        #expect(result.errors.isEmpty, "\(result.errors)")
        let count = try (lines + Self.lines(of: "orthogonal.txt")).count { !$0.hasPrefix("#") }
        let kernels = result.output.matches(
            of: /\n([a-z0-9]+): ([0-9]+) of ([0-9]+) tensors agree, made in [0-9.]+ ms\n/
        )
        #expect(kernels.last?.1 == "portable" || kernels.last?.1 == "neon")
        for kernel in kernels { #expect(kernel.2 == kernel.3 && kernel.3 == "\(count)") }
        let tables = result.output.matches(of: /\n[a-z0-9]+ +float32 +float64 +float16 +bfloat16\n/)
        #expect(tables.count == kernels.count)
        for method in InitMethod.all.map(\.name) {
            #expect(result.output.matches(of: try Regex("\n\(method) .* ms")).count == kernels.count, "\(method)")
        }
        #expect(result.output.contains("\nkernels in use  \(kernels.first?.1 ?? "?")\n"))
        #expect(result.output.contains("\nC library       glibc "))
        #expect(result.output.contains("Not proven: float64 normals"))
        for kernel in ["avx512", "avx2", "portable"] where kernels.last?.1 == "portable" {
            let isRun = kernels.contains { $0.1 == kernel }
            #expect(result.output.contains("Not proven: the \(kernel) kernels") != isRun)
        }
    }

    @Test("There is a vector for every method in every dtype")
    func completeness() throws {
        for method in InitMethod.all.map(\.name.description) {
            for dtype in DType.requestable.map(\.rawValue) {
                let isMade = method != "orthogonal" || dtype.hasSuffix("32") || dtype.hasSuffix("64")
                #expect(try lines.contains { $0.hasPrefix("method=\(method)&dtype=\(dtype)&") } == isMade)
            }
        }
    }

    @Test("Verify runs the named kernels")
    func kernel() throws {
        let workplace = try Workplace()
        let all = try workplace.run(["verify"]).output
        let name = try #require(all.matches(of: /\n([a-z0-9]+): [0-9]+ of/).last?.1)
        let one = try workplace.run(["verify", "--kernel", String(name)])
        #expect(one.status == 0)
        #expect(one.output.hasPrefix(name))
        #expect(one.output.matches(of: /tensors agree/).count == 1)
        let none = try workplace.run(["verify", "--kernel", "mmx"])
        #expect(none.status == 64)
        #expect(none.errors.hasPrefix("weight-init: --kernel: this processor runs "))
    }

    @Test("verify names a difference and exits with 1", arguments: ["normal", "orthogonal"])
    func difference(_ method: String) throws {
        let workplace = try Workplace()
        var lines = try lines
        let index = try #require(lines.firstIndex { $0.hasPrefix("method=\(method)&") })
        // The lowest digit of a digest, or of the high byte of a float.
        lines[index] = lines[index].dropLast() + (lines[index].hasSuffix("e") ? "f" : "e")
        try workplace.write(lines.joined(separator: "\n").utf8, to: "v.txt")
        let result = try workplace.run(["verify", "--vectors", "v.txt"])
        #expect(result.status == 1)
        let count = lines.count { !$0.hasPrefix("#") }
        let kernels = result.output.matches(of: /\n([a-z0-9]+): ([0-9]+) of ([0-9]+) tensors agree/)
        #expect(!kernels.isEmpty)
        for kernel in kernels { #expect(kernel.2 == "\(count - 1)") }
        let query = try #require(lines[index].split(separator: " ").first)
        for kernel in kernels {
            let complaint = method == "normal" ? "the SHA-256 is " : "an element is "
            #expect(result.errors.contains("weight-init: \(kernel.1): \(query): \(complaint)"), "\(result.errors)")
        }
        #expect(result.output.contains(try Regex("\n\(method) .*DIFFERENT")))
        #expect(result.errors.contains("weight-init: other numbers than PyTorch's, with "))
        #expect(!result.output.contains("All of it"))
    }

    @Test(
        "Malformed vectors are refused",
        arguments: [
            ("", "v.txt: there are no vectors"), ("# nothing\n", "v.txt: there are no vectors"),
            ("\nmethod=zeros&shape=3 12\n", "v.txt, line 2: not a query and a digest"),
            ("method=orthogonal&dtype=float32&shape=2,2 0.1 zz\n", "v.txt, line 1: not a query"),
            ("method=zero&shape=3 \(String(repeating: "0", count: 64))\n", "method=zero&shape=3: unknown method"),
        ]
    )
    func noVectors(_ text: String, _ sentence: String) throws {
        let workplace = try Workplace()
        try workplace.write(text.utf8, to: "v.txt")
        let result = try workplace.run(["verify", "--vectors", "v.txt", "--kernel", "portable"])
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("weight-init: \(sentence)"), "\(result.errors)")
        let missing = try workplace.run(["verify", "--vectors", "none.txt"])
        #expect(missing.status == 1)
        #expect(missing.errors.hasPrefix("weight-init: cannot read none.txt"))
    }
}
