import ArgumentParser
import ByteText
import InitAPI
import WeightInit

struct GainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gain",
        abstract: "Print the gain of an activation, or of all activations.",
        discussion: .beginning(
            with: [
                "weight-init gain",
                "weight-init gain relu",
                "weight-init gain leaky_relu 0.2",
            ],
            "Prints the JSON that /gain answers, or a table on a terminal."
        )
    )

    @Argument(
        help: "Activation, such as relu; without it, all activations.",
        completion: .list(Operation.gain.members.flatMap(\.words).map(\.description))
    )
    var nonlinearity: String?

    @Argument(help: "Parameter of the activation, such as the slope of leaky_relu.")
    var param: String?

    @OptionGroup
    var form: PrintOptions

    func run() throws {
        let given: [(name: Text, text: String?)] = [("nonlinearity", nonlinearity), ("param", param)]
        let members = given.compactMap { name, text in text.map { (name, Text($0)) } }
        do {
            try show(OperationContext().answer(.gain, members), as: form.format)
        } catch let error as InitError {
            throw ValidationError(error, positional: given.map(\.name))
        }
    }
}
