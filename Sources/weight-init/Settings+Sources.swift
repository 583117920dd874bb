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

extension SettingTable {
    /// The defaults, overridden by environment variables and then by options.
    ///
    /// - Parameter given: Names and values of the options that were given.
    /// - Throws: `ValidationError` naming the variable or option with a value that is not accepted.
    static func values(
        given: [(name: Text, text: Text)],
        withEnvironment readsEnvironment: Bool
    ) throws(ValidationError) -> Values {
        var values = defaults
        for setting in settings where readsEnvironment {
            let name = setting.environmentVariable
            // Kubernetes sets WEIGHT_INIT_PORT to tcp://… in the containers beside a service with the name weight-init.
            guard let text = environmentVariable(name), !text.hasPrefix("tcp://") else { continue }
            // A variable that a script left empty would be an empty path or address.
            guard !text.isEmpty || setting.accepted != nil else {
                throw ValidationError("\(name) must not be empty; unset it for the default.")
            }
            try setting.require(text, of: name, in: &values)
        }
        for (name, text) in given {
            guard let setting = settings.first(where: { Text($0.name) == name }) else { continue }
            try setting.require(text.description, of: "--\(name)", in: &values)
        }
        return values
    }
}

extension TableOptions where Table: SettingTable {
    /// The values of the table, as ``SettingTable/values(given:withEnvironment:)`` takes them from these options.
    func values(withEnvironment readsEnvironment: Bool) throws(ValidationError) -> Table.Values {
        try Table.values(given: given, withEnvironment: readsEnvironment)
    }
}

extension Setting {
    /// - Parameter given: Name of the option or variable that has the text.
    fileprivate func require(_ text: String, of given: String, in values: inout Values) throws(ValidationError) {
        guard set(text, in: &values) else {
            throw ValidationError("\(given) must be \(requirement(of: text)), not \(text.isEmpty ? "empty" : text).")
        }
    }
}
