import ArgumentParser
import ByteText
import InitAPI
import WeightInit

struct FanCommand: ParsableCommand {
    enum Asked: OptionTable {
        static let rows = Operation.fan.members.filter { $0.name != "shape" }.map(OptionRow.init)
    }

    static let configuration = CommandConfiguration(
        commandName: "fan",
        abstract: "Print the fan-in and fan-out of a shape.",
        discussion: "Prints the JSON that /fan answers, or a table on a terminal."
    )

    @Argument(help: "Dimensions, outermost first: 64,3,7,7.")
    var shape: String

    @OptionGroup
    var members: TableOptions<Asked>

    func run() throws {
        do {
            try show(OperationContext().answer(.fan, [("shape", Text(shape))] + members.given))
        } catch let error as InitError {
            throw ValidationError(error, positional: ["shape"])
        }
    }
}
