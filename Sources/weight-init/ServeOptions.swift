import ArgumentParser
import ByteText
import Settings

/// The options of `serve`, each under the heading that its row names.
struct ServeOptions: ParsableArguments {
    @OptionGroup(title: Addresses.title) private var addresses: TableOptions<Addresses>
    @OptionGroup(title: Access.title) private var access: TableOptions<Access>
    @OptionGroup(title: Connections.title) private var connections: TableOptions<Connections>
    @OptionGroup(title: Requests.title) private var requests: TableOptions<Requests>
    @OptionGroup(title: Structure.title) private var structure: TableOptions<Structure>
    @OptionGroup(title: Memory.title) private var memory: TableOptions<Memory>
    @OptionGroup(title: Catalogue.title) private var catalogue: TableOptions<Catalogue>
    @OptionGroup(title: Operation.title) private var operation: TableOptions<Operation>

    /// The defaults, overridden by environment variables and then by options.
    ///
    /// - Throws: `ValidationError` naming the variable or option with a value that is not accepted.
    func values() throws(ValidationError) -> ServeSettings {
        let parts = [
            addresses.given, access.given, connections.given, requests.given, structure.given, memory.given,
            catalogue.given, operation.given,
        ]
        return try ServeTable.values(given: parts.flatMap { $0 }, withEnvironment: true)
    }
}

/// Options of `serve` under one heading. A type for each, because the parser knows groups of options by their types.
private protocol ServePart: SettingTable where Values == ServeSettings {
    static var group: SettingGroup { get }
}

extension ServePart {
    static var title: String { group.rawValue }
    static var defaults: ServeSettings { ServeTable.defaults }
    static var settings: [Setting<ServeSettings>] { ServeTable.settings.filter { $0.group == group } }
}

private enum Addresses: ServePart { static let group = SettingGroup.addresses }
private enum Access: ServePart { static let group = SettingGroup.access }
private enum Connections: ServePart { static let group = SettingGroup.connections }
private enum Requests: ServePart { static let group = SettingGroup.requests }
private enum Structure: ServePart { static let group = SettingGroup.structure }
private enum Memory: ServePart { static let group = SettingGroup.memory }
private enum Catalogue: ServePart { static let group = SettingGroup.catalogue }
private enum Operation: ServePart { static let group = SettingGroup.operation }
