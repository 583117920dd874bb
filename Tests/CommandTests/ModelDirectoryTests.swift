import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Directories of models")
struct ModelDirectoryTests {
    private static let request = #"{"tensors":[{"name":"w","shape":[2],"method":"zeros"}]}"#

    private func workplace(_ files: [String]) throws -> Workplace {
        let workplace = try Workplace()
        for file in files {
            let place = workplace.directory.appending(path: file)
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try workplace.write(Self.request.utf8, to: file)
        }
        return workplace
    }

    private func server(_ workplace: Workplace, files: Int) throws -> Server {
        try Server(["serve", "--port=0", "--models", workplace.path("."), "--max-model-files", String(files)], [:])
    }

    /// The models that are not built in.
    private func models(_ server: Server) throws -> [String] {
        let client = try server.client()
        let text = try client.get("/models").text
        return text.matches(of: /"name":"([a-z]+\/[a-z0-9]+)"/).map { String($0.1) }.filter { !$0.hasPrefix("random/") }
    }

    @Test("A directory with more files than the limit is left out with one log line, and the others are served")
    func crowded() throws {
        let crowd = (0..<21).map { "crowd/many/\($0).txt" }
        let workplace = try workplace(["a/one/init.json", "z/last/init.json", "crowd/few/init.json"] + crowd)
        let server = try server(workplace, files: 20)
        defer { server.kill() }
        #expect(
            try server.logs("/crowd/many is left out: it has more than 20 files and directories (--max-model-files)\n")
        )
        #expect(try server.logs("read the models in \(workplace.path(".")): 3"))
        #expect(try models(server) == ["a/one", "crowd/few", "z/last"])
    }

    @Test("Once the limit on files is reached, all models that follow by name are left out with one log line")
    func total() throws {
        // Each organisation, each model and each file counts as one.
        let workplace = try workplace("abcdefghi".map { "org\($0)/m/init.json" })
        let server = try server(workplace, files: 14)
        defer { server.kill() }
        #expect(try server.logs("/orgd and all later models are left out: "))
        #expect(try server.logs("has more than 14 files and directories (--max-model-files)\n"))
        #expect(try server.logs("read the models in \(workplace.path(".")): 3"))
        #expect(try models(server) == ["orga/m", "orgb/m", "orgc/m"])
    }

    @Test("If the directory itself has too many files, only the built-in models are served")
    func root() throws {
        let workplace = try workplace(["a/m/init.json", "b/m/init.json", "c/m/init.json"])
        let server = try server(workplace, files: 2)
        defer { server.kill() }
        let words = "\(workplace.path(".")): it has more than 2 files and directories (--max-model-files)"
        #expect(try server.logs(" error --models: \(words); without it, the built-in models are served"))
        #expect(try models(server).isEmpty)
        let client = try server.client()
        #expect(try client.get("/random/mlp/resolve/main/model.safetensors").status == 200)
    }

    @Test("A directory without models is a warning that says where models are")
    func empty() throws {
        let workplace = try workplace(["init.json", "mlp/init.json"])
        let server = try server(workplace, files: 20)
        defer { server.kill() }
        let words = "no model in \(workplace.path(".")); each is a file organisation/name/init.json"
        #expect(try server.logs(" warning --models: \(words)\n"))
        #expect(try models(server).isEmpty)
    }

    @Test("A missing directory is logged, and the built-in models are served")
    func missing() throws {
        let server = try Server(["serve", "--port=0", "--models", "/nowhere"], [:])
        defer { server.kill() }
        let words = "cannot read /nowhere: No such file or directory; without it, the built-in models are served"
        #expect(try server.logs(" error --models: \(words)"))
        #expect(try server.get("/models/random/mlp").status == 200)
    }

    @Test("If the directory is missing at SIGHUP, the models stay, and a line is logged")
    func gone() throws {
        let workplace = try workplace(["a/m/init.json"])
        let server = try server(workplace, files: 10)
        defer { server.kill() }
        try FileManager.default.removeItem(atPath: workplace.path("a"))
        try FileManager.default.removeItem(at: workplace.directory)
        server.signal(SIGHUP)
        #expect(
            try server.logs(
                " error --models: cannot read \(workplace.path(".")): No such file or directory; the old models stay"
            )
        )
        #expect(try models(server) == ["a/m"])
        #expect(try server.get("/models/a/m").status == 200)
    }

    @Test("Hidden files count, and a directory with exactly as many files as the limit is served")
    func hidden() throws {
        let workplace = try workplace(["a/m/init.json", "a/m/.git"])
        for (files, isServed) in [(4, true), (1, false)] {
            let server = try server(workplace, files: files)
            defer { server.kill() }
            #expect(try models(server) == (isServed ? ["a/m"] : []))
        }
    }
}
