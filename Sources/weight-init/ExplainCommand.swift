import ArgumentParser
import ByteText
import InitAPI
import WeightInit

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Print the plan of an init request without making tensors.",
        discussion: .beginning(
            with: [
                "weight-init explain --method xavier_uniform --shape 512,256",
                "weight-init explain --model model.json",
                "weight-init explain --model-name random/resnet18",
            ],
            "Prints the JSON that /explain answers, or a table on a terminal."
        )
    )

    @OptionGroup
    var request: RequestOptions

    @Option(help: "Output format of the request.", completion: RequestOptions.formats)
    var format: String?

    @Option(help: "Also make the body in that format, and print its digest: sha256.", completion: .list(["sha256"]))
    var digest: String?

    func run() throws {
        let answer = try request.ask(.explain, format: format, digest: digest)
        do {
            try show(answer)
        } catch let error as InitError {
            throw request.invalid(error)
        }
    }
}
