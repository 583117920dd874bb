/// One value that the operator of a program can set: a row of a table.
///
/// The option, its environment variable, its check, its line of `--help`, its line of the documents and the name in error
/// messages all come from the row. The default is the value that `Values` starts with.
public struct Setting<Values>: Sendable {
    /// Name of the option without its dashes: `max-layers`.
    public let name: String
    /// Help text: one line, without default and range.
    public let help: String
    /// Accepted values, as they follow "must be": `from 1 to 60`. `nil` if every text is accepted.
    public let accepted: String?
    /// All accepted words; empty unless the value is one of a list.
    public let choices: [String]
    /// `true` if the value is the path of a file.
    public let isFile: Bool
    /// Place of the value: what error messages are found by.
    private let path: any AnyKeyPath & Sendable
    private let read: @Sendable (Values) -> String?
    private let write: @Sendable (inout Values, String) -> Bool
    private let holds: @Sendable (Values) -> Bool

    private init(
        _ name: String,
        _ help: String,
        accepted: String?,
        choices: [String] = [],
        isFile: Bool = false,
        path: any AnyKeyPath & Sendable,
        read: @escaping @Sendable (Values) -> String?,
        write: @escaping @Sendable (inout Values, String) -> Bool,
        holds: @escaping @Sendable (Values) -> Bool = { _ in true }
    ) {
        self.name = name
        self.help = help
        self.accepted = accepted
        self.choices = choices
        self.isFile = isFile
        self.path = path
        self.read = read
        self.write = write
        self.holds = holds
    }

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

    /// `true` if the value is in its range.
    public func isValid(in values: Values) -> Bool {
        holds(values)
    }

    /// `true` for the setting at this place.
    public func isAt(_ place: PartialKeyPath<Values>) -> Bool {
        path as AnyKeyPath == place as AnyKeyPath
    }

    /// The same setting of values that are a part of others.
    public func within<Outer>(_ part: any WritableKeyPath<Outer, Values> & Sendable) -> Setting<Outer> {
        Setting<Outer>(
            name,
            help,
            accepted: accepted,
            choices: choices,
            isFile: isFile,
            path: path,
            read: { [read] in read($0[keyPath: part]) },
            write: { [write] in write(&$0[keyPath: part], $1) },
            holds: { [holds] in holds($0[keyPath: part]) }
        )
    }
}

/// Values that an operator can set, with a row for each.
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
    /// A whole number.
    public init<Number: FixedWidthInteger & Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<Values, Number> & Sendable,
        _ range: ClosedRange<Number>,
        _ help: String
    ) {
        self.init(
            name,
            help,
            accepted: range.words(unit: ""),
            path: path,
            read: { String($0[keyPath: path]) },
            write: { values, text in
                guard let number = Number(text), range.contains(number) else { return false }
                values[keyPath: path] = number
                return true
            },
            holds: { range.contains($0[keyPath: path]) }
        )
    }

    /// A port that need not be given.
    public init(_ name: String, _ path: any WritableKeyPath<Values, UInt16?> & Sendable, _ help: String) {
        let range = UInt16.min ... .max
        self.init(
            name,
            help,
            accepted: range.words(unit: ""),
            path: path,
            read: { values in values[keyPath: path].map { String($0) } },
            write: { values, text in
                guard let number = UInt16(text) else { return false }
                values[keyPath: path] = number
                return true
            }
        )
    }

    /// A time, given in whole seconds.
    public init(
        _ name: String,
        _ path: any WritableKeyPath<Values, Duration> & Sendable,
        _ range: ClosedRange<Duration>,
        _ help: String
    ) {
        let seconds = range.lowerBound.secondsRoundedUp...range.upperBound.components.seconds
        self.init(
            name,
            help,
            accepted: seconds.words(unit: " seconds"),
            path: path,
            read: { String($0[keyPath: path].components.seconds) },
            write: { values, text in
                guard let number = Int64(text), seconds.contains(number) else { return false }
                values[keyPath: path] = .seconds(number)
                return true
            },
            holds: { range.contains($0[keyPath: path]) }
        )
    }

    /// A text.
    public init(_ name: String, _ path: any WritableKeyPath<Values, String> & Sendable, _ help: String) {
        self.init(
            name,
            help,
            accepted: nil,
            path: path,
            read: { $0[keyPath: path] },
            write: { values, text in
                values[keyPath: path] = text
                return true
            }
        )
    }

    /// A text that need not be given.
    public init(
        _ name: String,
        _ path: any WritableKeyPath<Values, String?> & Sendable,
        isFile: Bool = false,
        _ help: String
    ) {
        self.init(
            name,
            help,
            accepted: nil,
            isFile: isFile,
            path: path,
            read: { $0[keyPath: path] },
            write: { values, text in
                values[keyPath: path] = text
                return true
            }
        )
    }

    /// One of some words.
    public init<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<Values, Choice> & Sendable,
        _ help: String
    ) {
        let choices = Choice.allCases.map(\.rawValue)
        self.init(
            name,
            help,
            accepted: "one of " + choices.joined(separator: ", "),
            choices: choices,
            path: path,
            read: { $0[keyPath: path].rawValue },
            write: { values, text in
                guard let choice = Choice(rawValue: text) else { return false }
                values[keyPath: path] = choice
                return true
            }
        )
    }

    /// A value that its type reads from text, and that need not be given.
    ///
    /// - Parameter accepted: Accepted texts, as they follow "must be".
    public init<Value: Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<Values, Value?> & Sendable,
        accepted: String,
        _ help: String,
        parse: @escaping @Sendable (String) -> Value?
    ) {
        self.init(
            name,
            help,
            accepted: accepted,
            path: path,
            read: { _ in nil },
            write: { values, text in
                guard let value = parse(text) else { return false }
                values[keyPath: path] = value
                return true
            }
        )
    }
}

extension ClosedRange where Bound: FixedWidthInteger {
    fileprivate func words(unit: String) -> String {
        upperBound == .max && Bound.self == Int.self
            ? "at least \(lowerBound)\(unit)" : "from \(lowerBound) to \(upperBound)\(unit)"
    }
}

extension Duration {
    fileprivate var secondsRoundedUp: Int64 {
        components.seconds + (components.attoseconds > 0 ? 1 : 0)
    }
}
