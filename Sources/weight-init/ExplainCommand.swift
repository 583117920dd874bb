import ArgumentParser
import InitService
import WeightInit

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Tell what init would make of the same options, and how; nothing is made.",
        discussion: "The JSON that the service answers on /explain; on a terminal, a table."
    )

    @OptionGroup
    var request: RequestOptions

    @Option(
        help: "The format that it would be written in.",
        completion: .list(RequestOptions.Asked.format?.words ?? [])
    )
    var format: String?

    func run() throws {
        let answer = try request.ask(.explain, format: format)
        do {
            try show(answer)
        } catch let error as InitError {
            throw request.invalid(error)
        }
    }
}
