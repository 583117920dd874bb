import ArgumentParser
import ByteText
import Glibc
import InitAPI
import Settings
import WeightInit

/// Options of the request to make or explain.
struct RequestOptions: ParsableArguments {
    /// Options of a request for a model only.
    enum Overrides: OptionTable {
        static let rows = OfferedMember.ofModel.map(OptionRow.init)
    }

    enum Asked: OptionTable {
        // The commands describe these themselves.
        static let rows = Operation.initialize.members.filter { $0.name != "format" && $0.name != "digest" }
            .map(OptionRow.init)
    }

    /// Names of the formats, for completion.
    static var formats: CompletionKind {
        .list(Operation.initialize.members.first { $0.name == "format" }?.words.map(\.description) ?? [])
    }

    @OptionGroup(title: "One tensor")
    var members: TableOptions<Asked>

    @Option(
        help: ArgumentHelp(
            "Request in JSON, as for POST /init; - is standard input. Options override the file.",
            valueName: "file"
        ),
        completion: .file(extensions: ["json"])
    )
    var model: String?

    @Option(help: ArgumentHelp("Model of the catalogue; options override its request.", valueName: "org/name"))
    var modelName: String?

    @OptionGroup
    var catalogue: CatalogueOptions

    @OptionGroup(title: "Models")
    var overrides: TableOptions<Overrides>

    @OptionGroup(title: "Limits")
    var limits: TableOptions<LimitTable>

    func validate() throws {
        guard model == nil || modelName == nil else {
            throw ValidationError("--model and --model-name exclude each other.")
        }
    }

    /// Answers the request.
    ///
    /// - Throws: `ValidationError` if it is refused, `Failure` for a file that cannot be read.
    func ask(_ operation: Operation, format: String?, digest: String? = nil) throws -> Answer {
        var members = members.given + overrides.given
        if let format { members.append((name: "format", text: Text(format))) }
        if let digest { members.append((name: "digest", text: Text(digest))) }
        let limits = try limits.values(withEnvironment: false)
        let context = OperationContext(limits: limits, models: try catalogue.models(limits))
        var document = try model.map { path throws(Failure) in
            do throws(Failure) {
                return try contents(of: path)
            } catch {
                let isName = context.models[Text(path)] != nil
                throw isName ? Failure("\(error); the catalogue's model is --model-name \(path)") : error
            }
        }
        do {
            if let modelName { document = try context.models.require(Text(modelName)).document() }
            return try context.answer(operation, members, document: document)
        } catch {
            throw invalid(error)
        }
    }

    /// The error of a refused request, with the option or the place in the file at fault; `Failure` if the request is
    /// not to blame.
    func invalid(_ error: InitError) -> any Error {
        if [.outOfMemory, .failed].contains(error.kind) { return Failure(error.message) }
        let others = members.given.map(\.name) + overrides.given.map(\.name) + ["format", "digest"]
        return ValidationError(error, document: (model ?? modelName).map { ($0, others) })
    }
}

/// Limits of a request that runs on its author's own machine. Some of them are options.
enum LimitTable: SettingTable {
    static let defaults: ServiceLimits = {
        var limits = ServiceLimits()
        // Elements that are streamed have no limit.
        limits.maximumJSONElements = .max
        limits.maximumSummaryElements = .max
        limits.maximumCountedElements = .max
        limits.maximumWorkBytes = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        limits.cacheBytes = 0
        limits.tensors.maximumTensorBytes = .max
        limits.tensors.maximumMatrixElements = Int(Int32.max)
        limits.tensors.maximumNameBytes = .max
        limits.tensors.maximumNameLength = .max
        limits.tensors.maximumRuleMatches = .max
        limits.tensors.maximumRounds = 1 << 20
        limits.tensors.maximumLayers = 1_000_000
        limits.tensors.maximumTensors = 10_000_000
        return limits
    }()

    static let settings = ServiceLimits.settings.filter { setting in
        ["max-work-bytes", "max-matrix-elements", "max-rounds", "max-layers", "max-tensors", "max-nesting"]
            .contains(setting.name)
    }
}
