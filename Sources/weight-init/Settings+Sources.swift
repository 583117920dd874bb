import ArgumentParser
import ByteText
import Settings

/// Settings as options of a command and, if it has them, as environment variables.
protocol SettingTable: OptionTable {
    associatedtype Values
    static var defaults: Values { get }
    static var settings: [Setting<Values>] { get }
}

extension SettingTable {
    static var rows: [OptionRow] {
        settings.map { OptionRow($0, in: defaults) }
    }
}

extension TableOptions where Table: SettingTable {
    /// The defaults, overridden by environment variables and then by options.
    ///
    /// - Throws: `ValidationError` naming the variable or option with a value that is not accepted.
    func values(withEnvironment readsEnvironment: Bool) throws(ValidationError) -> Table.Values {
        var values = Table.defaults
        for setting in Table.settings where readsEnvironment {
            let name = setting.environmentVariable
            // Kubernetes sets WEIGHT_INIT_PORT to tcp://… in the containers beside a service with the name weight-init.
            guard let text = environmentVariable(name), !text.hasPrefix("tcp://") else { continue }
            try setting.require(text, of: name, in: &values, orElse: "; unset it for the default")
        }
        for (name, text) in given {
            guard let setting = Table.settings.first(where: { Text($0.name) == name }) else { continue }
            try setting.require(text.description, of: "--\(name)", in: &values)
        }
        return values
    }
}

extension Setting {
    /// No setting means anything by an empty text, so a variable that a script left empty is found here and not by its use.
    ///
    /// - Parameters:
    ///   - given: Name of the option or variable that has the text.
    ///   - advice: Further words about an empty text.
    fileprivate func require(
        _ text: String,
        of given: String,
        in values: inout Values,
        orElse advice: String = ""
    ) throws(ValidationError) {
        guard !text.isEmpty else {
            let requirement = accepted.map { "must be \($0), not empty" } ?? "must not be empty"
            throw ValidationError("\(given) \(requirement)\(advice).")
        }
        guard set(text, in: &values) else {
            throw ValidationError("\(given) must be \(requirement(of: text)), not \(text).")
        }
    }
}
