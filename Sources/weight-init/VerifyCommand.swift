import ArgumentParser
import EmbeddedFiles
import Glibc
import InitAPI
import TorchRandom
import WeightInit

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare tensors made on this machine with those of PyTorch.",
        discussion: .beginning(
            with: [
                "weight-init verify",
                "weight-init verify --kernel portable",
            ],
            """
            Covers every method in every dtype with all kernels that this processor can run. Prints times, the kernels that \
            serve uses here, and what this machine cannot prove. The exit code is 1 if anything differs.
            """
        )
    )

    @Option(
        help: "Kernels to verify; without it, all.",
        completion: .list(Kernels.names)
    )
    var kernel: String?

    @Option(
        help: "File of vectors, as Tests/GoldenVectors/make_verification.py writes it.",
        completion: .file()
    )
    var vectors: String?

    func run() throws {
        if let kernel {
            guard Kernels.all.contains(where: { $0.name == kernel }) else {
                let names = Kernels.all.map(\.name).joined(separator: ", ")
                throw ValidationError("--kernel: this processor runs \(names), not \(kernel)")
            }
            // A process picks its kernels once, when it starts.
            guard Kernels.selected.name == kernel else { throw ExitCode(try runAgain(with: kernel)) }
            try verify()
        } else {
            try StandardOutput.writeLine(Table.aligned(machine))
            var different: [String] = []
            for kernel in Kernels.all.map(\.name) where try runAgain(with: kernel) != 0 { different.append(kernel) }
            try StandardOutput.writeLine(unproven.map { "Not proven: \($0)\n" }.joined())
            guard different.isEmpty else {
                throw Failure("other numbers than PyTorch's, with \(different.joined(separator: ", "))")
            }
            try StandardOutput.writeLine("All tensors are equal to PyTorch's.")
        }
    }

    // MARK: One kernel

    private func verify() throws {
        var all = try VerificationVector.parse(
            vectors.map { path throws(Failure) in try contents(of: path) } ?? EmbeddedFile.vectors.bytes,
            of: vectors ?? "vectors.txt"
        )
        if vectors == nil {
            all += try VerificationVector.parse(
                EmbeddedFile.orthogonalVectors.bytes,
                of: "orthogonal.txt",
                madeBy: "this program's elsewhere"
            )
        }
        let operations = OperationContext()
        var times: [String: [String: Duration]] = [:]
        var different: [String: Set<String>] = [:]
        var total = Duration.zero
        var differences: [String] = []
        for vector in all {
            do {
                let (difference, time) = try vector.check(operations)
                times[vector.method, default: [:]][vector.dtype, default: .zero] += time
                total += time
                guard let difference else { continue }
                differences.append("\(vector.query): \(difference)")
                different[vector.method, default: []].insert(vector.dtype)
            } catch let error as InitError {
                throw Failure("\(vector.query): \(error.detail)")
            }
        }
        let methods = all.map(\.method).unique
        let dtypes = all.map(\.dtype).unique
        let rows = methods.map { method in
            [method]
                + dtypes.map { dtype in
                    different[method]?.contains(dtype) == true
                        ? "DIFFERENT" : times[method]?[dtype].map { milliseconds($0) } ?? "–"
                }
        }
        let style = TextStyle(isColoured: Screen.output.isColoured)
        let count = all.count - differences.count
        try StandardOutput.write(Table.aligned([[Kernels.selected.name] + dtypes] + rows, headedIn: style))
        try StandardOutput.writeLine(
            "\(Kernels.selected.name): \(count) of \(all.count) tensors agree, made in \(milliseconds(total))\n"
        )
        for difference in differences { printError("\(Kernels.selected.name): \(difference)") }
        guard differences.isEmpty else { throw ExitCode(1) }
    }

    private func milliseconds(_ duration: Duration) -> String {
        ByteText.decimal(duration / .milliseconds(1)) + " ms"
    }

    // MARK: All kernels

    /// Verifies in a process that uses these kernels.
    ///
    /// - Returns: Its exit code.
    private func runAgain(with kernel: String) throws(Failure) -> Int32 {
        setenv("WEIGHT_INIT_KERNEL", kernel, 1)
        let arguments = ["weight-init", "verify", "--kernel", kernel] + (vectors.map { ["--vectors", $0] } ?? [])
        // Unsafe because the call takes pointers; their strings are freed below.
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, "/proc/self/exe", nil, nil, &pointers, environ)
        guard code == 0 else {
            errno = code
            throw .last("cannot run again with the \(kernel) kernels")
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw .last("cannot wait for the \(kernel) kernels") }
        }
        // The low bits are the signal that ended the process.
        let number = status & 0x7f
        // Both processes have the same reader, which has gone.
        if number == SIGPIPE { raise(SIGPIPE) }
        guard number == 0 else { throw Failure("signal \(number) has ended the check of the \(kernel) kernels") }
        return status >> 8 & 0xff
    }

    private var machine: [[String]] {
        let processor = Processor()
        let others = Kernels.all.map(\.name).filter { $0 != Kernels.selected.name }
        return [
            ["processor", processor.model],
            ["it has", processor.has.isEmpty ? "–" : processor.has.joined(separator: " ")],
            ["it lacks", processor.lacks.isEmpty ? "–" : processor.lacks.joined(separator: " ")],
            ["kernels in use", Kernels.selected.name],
            ["others", others.isEmpty ? "–" : others.joined(separator: ", ")],
            ["C library", cLibrary],
            ["log, sin, cos", Libm.deviation.isEmpty ? "PyTorch's bits" : "other last bits; " + Libm.consequence],
        ]
    }

    private var cLibrary: String {
        var text = [CChar](repeating: 0, count: 64)
        let count = confstr(Int32(_CS_GNU_LIBC_VERSION), &text, text.count)
        return count > 1
            ? String(decoding: text.prefix(count - 1).map { UInt8(bitPattern: $0) }, as: UTF8.self) : "unknown"
    }

    /// Claims that no vectors can prove on this machine.
    private var unproven: [String] {
        Kernels.names.filter { name in !Kernels.all.contains { $0.name == name } }
            .map { "the \($0) kernels, which this processor cannot run." } + [
                """
                float64 normals, and normals of fewer than 16 elements, on other machines: they use log, sin and cos of \
                \(cLibrary) here; only glibc on a processor with FMA gives PyTorch's bits.
                """,
                "float32 trunc_normal with bounds that accept 30 % or less: fewer than 7 in 10^9 may differ.",
                "the last bits of PyTorch's orthogonal, which depend on its machine: here they are the same everywhere.",
            ]
    }
}

/// The processor, as the system describes it.
private struct Processor {
    var model = "unknown"
    var has: [String] = []
    var lacks: [String] = []

    /// Features that the kernels are compiled for or glibc's functions depend on.
    #if arch(x86_64)
        private static let features = ["avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl"]
    #elseif arch(arm64)
        private static let features = ["asimd", "fphp", "asimdhp"]
    #else
        private static let features: [String] = []
    #endif

    init() {
        let text = (try? contents(of: "/proc/cpuinfo")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        var flags: [Substring] = []
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].filter { $0 != "\t" }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            if name == "model name" || name == "CPU implementer" { model = String(value) }
            if name == "flags" || name == "Features" { flags = value.split(separator: " ") }
        }
        has = Processor.features.filter { flags.contains($0[...]) }
        lacks = Processor.features.filter { !flags.contains($0[...]) }
    }
}

extension [String] {
    /// The elements without repetitions, in order.
    fileprivate var unique: [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
