import ArgumentParser
import InitService
import WeightInit

struct GainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gain",
        abstract: "Tell the gain of an activation, or of all of them.",
        discussion: "The JSON that the service answers on /gain; on a terminal, a table."
    )

    @Argument(
        help: "The activation, such as relu; without it, all of them.",
        completion: .list(Question.gain.members.flatMap(\.words))
    )
    var nonlinearity: String?

    @Argument(help: "What shapes the activation, such as the slope of leaky_relu.")
    var param: String?

    func run() throws {
        let given = [("nonlinearity", nonlinearity), ("param", param)]
        do {
            try show(InitService().answer(.gain, given.compactMap { name, text in text.map { (name, $0) } }))
        } catch let error as InitError {
            throw ValidationError(error, positional: given.map(\.0))
        }
    }
}
