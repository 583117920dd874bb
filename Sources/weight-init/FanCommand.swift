import ArgumentParser
import InitService
import WeightInit

struct FanCommand: ParsableCommand {
    enum Asked: Asking {
        static let options = Question.fan.members.filter { $0.name != "shape" }
    }

    static let configuration = CommandConfiguration(
        commandName: "fan",
        abstract: "Tell the fan-in and the fan-out of a shape.",
        discussion: "The JSON that the service answers on /fan; on a terminal, a table."
    )

    @Argument(help: "The sizes, outermost first: 64,3,7,7.")
    var shape: String

    @OptionGroup
    var members: MemberOptions<Asked>

    func run() throws {
        do {
            try show(InitService().answer(.fan, [("shape", shape)] + members.given))
        } catch let error as InitError {
            throw ValidationError(error, positional: ["shape"])
        }
    }
}
