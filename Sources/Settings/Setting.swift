/// Headings of settings in `--help` and in the documents.
public enum SettingGroup: String, CaseIterable, Sendable {
    case addresses = "Addresses"
    case access = "Tokens, TLS and origins"
    case connections = "Connections"
    case requests = "Limits of requests"
    case structure = "Limits of a model's structure"
    case memory = "Work and memory"
    case catalogue = "Catalogue of models"
    case operation = "Shutdown and log"
}

/// One value that the operator of a program can set: a row of a table.
///
/// The option, its environment variable, its check, its line of `--help`, its line of the documents and the name in
/// error messages all come from the row. The default is the value that `Values` starts with.
public struct Setting<Values>: Sendable {
    /// Name of the option without its dashes: `max-layers`.
    public let name: String
    public let group: SettingGroup
    /// Help text: one line, without default and range.
    public private(set) var help: String
    /// Accepted values, as they follow "must be": `from 1 to 60`. `nil` if every text is accepted.
    public let accepted: String?
    /// All accepted words; empty unless the value is one of a list.
    public let choices: [String]
    /// `true` if the value is the path of a file.
    public let isFile: Bool
    /// Requirement, as it follows "must be", for a number that was given with a unit or a fraction; `nil` if the value
    /// is not a number.
    private let wholeNumber: String?
    /// Place of the value, by which error messages find the setting's name.
    private let path: any AnyKeyPath & Sendable
    private let read: @Sendable (Values) -> String?
    private let write: @Sendable (inout Values, String) -> Bool
    private let holds: @Sendable (Values) -> Bool

    /// Name of the environment variable: `WEIGHT_INIT_MAX_LAYERS`.
    public var environmentVariable: String {
        "WEIGHT_INIT_" + String(name.map { $0 == "-" ? "_" : $0 }).uppercased()
    }

    /// The value as text; `nil` if there is none.
    public func text(in values: Values) -> String? {
        read(values)
    }

    /// Sets the value from text.
    ///
    /// - Returns: `false`, without a change, if the text is not accepted.
    public func set(_ text: String, in values: inout Values) -> Bool {
        write(&values, text)
    }

    /// Requirement that a refused text does not meet, as it follows "must be".
    public func requirement(of text: String) -> String {
        (Self.isNumberWithMore(text) ? wholeNumber : nil) ?? accepted ?? "different"
    }

    /// `true` for digits with something behind them: `256M`, `30s`, `1.5`.
    private static func isNumberWithMore(_ text: String) -> Bool {
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        let unsigned = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        return unsigned.first.map(isDigit) == true && !unsigned.allSatisfy(isDigit)
    }

    /// `true` if the value is in its range.
    public func isValid(in values: Values) -> Bool {
        holds(values)
    }

    /// `true` for the setting at this place.
    public func isAt(_ place: PartialKeyPath<Values>) -> Bool {
        path as AnyKeyPath == place as AnyKeyPath
    }

    /// The same setting with another help text, for a command that uses the value otherwise.
    public func helping(_ help: String) -> Setting {
        var setting = self
        setting.help = help
        return setting
    }

    /// The same setting for values that contain these values.
    public func within<Outer>(_ part: any WritableKeyPath<Outer, Values> & Sendable) -> Setting<Outer> {
        Setting<Outer>(
            name: name,
            group: group,
            help: help,
            accepted: accepted,
            choices: choices,
            isFile: isFile,
            wholeNumber: wholeNumber,
            path: path,
            read: { [read] in read($0[keyPath: part]) },
            write: { [write] in write(&$0[keyPath: part], $1) },
            holds: { [holds] in holds($0[keyPath: part]) }
        )
    }
}

/// Values that an operator can set, with a row of the table for each.
public protocol Configurable {
    static var settings: [Setting<Self>] { get }
}

extension Configurable {
    /// Name of the setting at a place, for messages.
    public static func settingName(at place: PartialKeyPath<Self>) -> String? {
        settings.first { $0.isAt(place) }?.name
    }
}

// MARK: Kinds of values

extension Setting {
    /// A value at one place, with its conversion to and from text.
    private init<Value>(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, Value> & Sendable,
        _ help: String,
        accepted: String?,
        choices: [String] = [],
        isFile: Bool = false,
        wholeNumber: String? = nil,
        text: @escaping @Sendable (Value) -> String?,
        parse: @escaping @Sendable (String) -> Value?,
        holds: @escaping @Sendable (Value) -> Bool = { _ in true }
    ) {
        self.init(
            name: name,
            group: group,
            help: help,
            accepted: accepted,
            choices: choices,
            isFile: isFile,
            wholeNumber: wholeNumber,
            path: path,
            read: { text($0[keyPath: path]) },
            write: { values, text in
                guard let value = parse(text) else { return false }
                values[keyPath: path] = value
                return true
            },
            holds: { holds($0[keyPath: path]) }
        )
    }

    /// A whole number.
    ///
    /// - Parameter unit: Unit of the number, for the message about a number that was given with a unit: `bytes`.
    public init<Number: FixedWidthInteger & Sendable>(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, Number> & Sendable,
        _ range: ClosedRange<Number>,
        of unit: String? = nil,
        _ help: String
    ) {
        self.init(
            name,
            in: group,
            path,
            help,
            accepted: range.words(unit: ""),
            wholeNumber: range.wholeNumber(of: unit),
            text: { String($0) },
            parse: { text in Number(text).flatMap { range.contains($0) ? $0 : nil } },
            holds: { range.contains($0) }
        )
    }

    /// An optional port.
    public init(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, UInt16?> & Sendable,
        _ help: String
    ) {
        let range = UInt16.min ... .max
        self.init(
            name,
            in: group,
            path,
            help,
            accepted: range.words(unit: ""),
            wholeNumber: range.wholeNumber(of: nil),
            text: { $0.map { String($0) } },
            parse: { text in UInt16(text).map { .some($0) } }
        )
    }

    /// A time, given in whole seconds.
    public init(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, Duration> & Sendable,
        _ range: ClosedRange<Duration>,
        _ help: String
    ) {
        let seconds = range.lowerBound.secondsRoundedUp...range.upperBound.components.seconds
        self.init(
            name,
            in: group,
            path,
            help,
            accepted: seconds.words(unit: " seconds"),
            wholeNumber: seconds.wholeNumber(of: "seconds"),
            text: { String($0.components.seconds) },
            parse: { text in Int64(text).flatMap { seconds.contains($0) ? .seconds($0) : nil } },
            holds: { range.contains($0) }
        )
    }

    /// A text.
    public init(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, String> & Sendable,
        _ help: String
    ) {
        self.init(name, in: group, path, help, accepted: nil, text: { $0 }, parse: { $0 })
    }

    /// An optional text.
    public init(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, String?> & Sendable,
        isFile: Bool = false,
        _ help: String
    ) {
        self.init(name, in: group, path, help, accepted: nil, isFile: isFile, text: { $0 }, parse: { .some($0) })
    }

    /// One of some words.
    public init<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, Choice> & Sendable,
        _ help: String
    ) {
        let choices = Choice.allCases.map(\.rawValue)
        self.init(
            name,
            in: group,
            path,
            help,
            accepted: "one of " + choices.joined(separator: ", "),
            choices: choices,
            text: { $0.rawValue },
            parse: { Choice(rawValue: $0) }
        )
    }

    /// An optional value, which a function parses from text.
    ///
    /// - Parameter accepted: Accepted texts, as they follow "must be".
    public init<Value: Sendable>(
        _ name: String,
        in group: SettingGroup,
        _ path: any WritableKeyPath<Values, Value?> & Sendable,
        accepted: String,
        _ help: String,
        parse: @escaping @Sendable (String) -> Value?
    ) {
        self.init(
            name,
            in: group,
            path,
            help,
            accepted: accepted,
            text: { _ in nil },
            parse: { text in parse(text).map { .some($0) } }
        )
    }
}

extension ClosedRange where Bound: FixedWidthInteger {
    fileprivate func words(unit: String) -> String {
        upperBound == .max && Bound.self == Int.self
            ? "at least \(lowerBound)\(unit)" : "from \(lowerBound) to \(upperBound)\(unit)"
    }

    fileprivate func wholeNumber(of unit: String?) -> String {
        "a whole number\(unit.map { " of " + $0 } ?? "") without a unit, \(words(unit: ""))"
    }
}

extension Duration {
    fileprivate var secondsRoundedUp: Int64 {
        components.seconds + (components.attoseconds > 0 ? 1 : 0)
    }
}
