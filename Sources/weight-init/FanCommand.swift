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
        discussion: .beginning(
            with: [
                "weight-init fan 64,3,7,7",
                "weight-init fan 64,3,7,7 --mode fan_out",
                "weight-init fan 3,3,64,128 --layout keras",
            ],
            "Prints the JSON that /fan answers, or a table on a terminal."
        )
    )

    @Argument(help: "Dimensions, outermost first: 64,3,7,7.")
    var shape: String

    @OptionGroup
    var members: TableOptions<Asked>

    @OptionGroup
    var form: PrintOptions

    func run() throws {
        do {
            let given = [("shape", Text(shape))] + members.given
            try show(OperationContext().answer(.fan, given), as: form.format)
        } catch let error as InitError {
            throw ValidationError(error, positional: ["shape"])
        }
    }
}
