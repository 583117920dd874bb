#if arch(x86_64)
    import Foundation
    import TestSupport
    import Testing

    @Suite("A C library without FMA", .serialized)
    struct MathLibraryTests {
        /// glibc picks its variants of functions when a process starts; this variable hides features of the processor
        /// from it.
        private static let lacking = ["GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"]

        /// The entity tags of some replies, and the whole log.
        private func serve(_ environment: [String: String]) throws -> (tags: [String], log: String) {
            let server = try Server(["serve", "--port", "0"], environment)
            defer { server.kill() }
            let client = try server.client()
            let targets = [
                // Replies that use log, sin and cos of the C library, or a gain made with its powers, and one that uses
                // none.
                "/init?method=normal&shape=100&dtype=float64&format=raw",
                "/init?method=trunc_normal&shape=100&format=raw",
                "/init?method=kaiming_normal&shape=100,9&a=0.3&format=raw", "/init?method=zeros&shape=3&format=raw",
                "/explain?method=kaiming_normal&shape=100,9&a=0.3",
                "/propagate?depth=3&width_in=4&width_out=4&nonlinearity=gelu",
            ]
            let tags = try targets.map { target in
                client.send("HEAD \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
                return try #require(try client.readResponse(toHead: true)["ETag"])
            }
            server.signal(SIGTERM)
            let log = server.errors()
            #expect(server.wait() == .exited(0))
            return (tags, log)
        }

        @Test("With a C library without FMA, serve warns at its start, and every entity tag differs")
        func tags() throws {
            let (whole, quiet) = try serve([:])
            let (lacking, log) = try serve(Self.lacking)
            #expect(!quiet.contains("log, sin and cos"))
            #expect(log.contains("log, sin and cos of this host have other last bits than PyTorch's"))
            for (one, other) in zip(whole, lacking) { #expect(one != other) }
        }

        @Test("verify reports a C library without FMA")
        func verification() throws {
            #expect(try run(["verify"], [:]).output.contains("\nlog, sin, cos   PyTorch's bits\n"))
            let output = try run(["verify"], Self.lacking).output
            #expect(output.contains("\nlog, sin, cos   other last bits; normals in float64"))
        }
    }
#endif
