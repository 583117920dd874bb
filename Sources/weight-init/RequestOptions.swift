import ArgumentParser
import Glibc
import InitService
import WeightInit

/// What is to be made, for the commands that make it or tell how.
struct RequestOptions: ParsableArguments {
    enum Asked: Asking {
        // What Accept and the file's name have to do with it is said elsewhere.
        static let options = Question.initialize.members.filter { $0.name != "format" }
        static let format = Question.initialize.members.first { $0.name == "format" }
    }

    @OptionGroup(title: "One tensor")
    var members: MemberOptions<Asked>

    @Option(
        help: ArgumentHelp(
            "A request in JSON, as POST /init takes it; - is standard input. Options count before what it says.",
            valueName: "file"
        ),
        completion: .file(extensions: ["json"])
    )
    var model: String?

    @OptionGroup(title: "Limits")
    var limits: LimitOptions

    /// Asks the service.
    ///
    /// - Throws: `ValidationError` for what it refuses, `Failure` for a file that cannot be read.
    func ask(_ question: Question, format: String?) throws -> Answer {
        let members = members.given + (format.map { [("format", $0)] } ?? [])
        let document = try model.map(contents)
        do {
            return try InitService(limits: limits.service).answer(question, members, document: document)
        } catch {
            throw invalid(error)
        }
    }

    /// What the service refuses, with the option or the place in the file that is at fault.
    func invalid(_ error: InitError) -> ValidationError {
        ValidationError(error, document: model.map { ($0, members.given.map(\.name) + ["format"]) })
    }
}

/// What a request may take where nobody but its author waits for it: of what streams, any amount.
struct LimitOptions: ParsableArguments {
    @Option(help: "Bytes of memory for what must be whole before the first byte: by default, all there is.")
    var maxWorkBytes: Int?

    @Option(help: "Elements of a matrix that must be whole in memory (orthogonal, sparse).")
    var maxMatrixElements = Int(Int32.max)

    @Option(help: "Rounds of redrawing that a truncated normal may be expected to need.")
    var maxRounds = 1 << 20

    @Option(help: "Layers of a model, those without parameters and those inside others included.")
    var maxLayers = 1_000_000

    @Option(help: "Tensors of a model.")
    var maxTensors = 10_000_000

    @Option(help: "Blocks of layers inside each other.")
    var maxNesting = 16

    mutating func validate() throws {
        let ranges = [
            ("--max-work-bytes", maxWorkBytes ?? 1, Int.max), ("--max-rounds", maxRounds, 1 << 40),
            // LAPACK counts in 32 bits.
            ("--max-matrix-elements", maxMatrixElements, Int(Int32.max)),
            ("--max-layers", maxLayers, Int.max), ("--max-tensors", maxTensors, Int.max),
            // Each takes a piece of the stack.
            ("--max-nesting", maxNesting, 60),
        ]
        for (name, value, most) in ranges where !(1...most).contains(value) {
            throw ValidationError("\(name) must be \(most == .max ? "at least 1" : "from 1 to \(most)").")
        }
    }

    var service: ServiceLimits {
        var limits = ServiceLimits()
        limits.maximumJSONElements = .max
        limits.maximumSummaryElements = .max
        limits.maximumCountedElements = .max
        limits.maximumWorkBytes = maxWorkBytes ?? physicalMemory
        limits.cacheBytes = 0
        limits.tensors.maximumTensorBytes = .max
        limits.tensors.maximumMatrixElements = maxMatrixElements
        limits.tensors.maximumNameBytes = .max
        limits.tensors.maximumRuleMatches = .max
        limits.tensors.maximumRounds = maxRounds
        limits.tensors.maximumLayers = maxLayers
        limits.tensors.maximumTensors = maxTensors
        limits.tensors.maximumNesting = maxNesting
        return limits
    }

    private var physicalMemory: Int {
        sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    }
}

/// The bytes of a file, or of standard input where it is called `-`.
func contents(of path: String) throws(Failure) -> [UInt8] {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last("cannot read \(path)") }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &block, block.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw .last("cannot read \(path)") }
        guard count > 0 else { return bytes }
        bytes += block[..<count]
    }
}
