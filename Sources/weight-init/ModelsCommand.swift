import ArgumentParser
import ByteText
import InitAPI
import WeightInit

struct ModelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models",
        abstract: "Print the catalogue of models.",
        discussion: .beginning(
            with: [
                "weight-init models",
                "weight-init models --format json",
                "weight-init models --models /srv/models",
            ],
            "Prints the JSON that /models answers, or a table on a terminal. init --model-name makes one of the models."
        )
    )

    @OptionGroup
    var catalogue: CatalogueOptions

    @OptionGroup
    var form: PrintOptions

    func run() throws {
        do {
            let context = OperationContext(models: try catalogue.models(LimitTable.defaults))
            guard let catalogue = try context.answer(.models, []).document()?.value else { return }
            try show(catalogue, as: form.format) { CatalogueTable.models.text(of: catalogue, $0) }
        } catch let error as InitError {
            throw ValidationError(error)
        }
    }
}

/// The option that adds models to the catalogue.
struct CatalogueOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Directory of models, as for serve: organisation/name/init.json, and files beside it.",
            valueName: "directory"
        ),
        completion: .directory
    )
    var models: String?

    /// The built-in models and those of the directory. A model that is left out is reported on standard error.
    ///
    /// - Throws: `Failure` if the directory cannot be read.
    func models(_ limits: ServiceLimits) throws(Failure) -> ModelCatalogue {
        guard let models else { return ModelCatalogue() }
        return ModelCatalogue(adding: try ModelDirectory(path: models, limits: limits).models(printError))
    }
}
