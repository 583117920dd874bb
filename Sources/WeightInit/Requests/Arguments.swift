public import ByteText

/// A client's arguments by the parameters' canonical names; each value is of its parameter's kind.
public struct Arguments: Sendable, Equatable {
    public private(set) var given: [Text: ParameterValue]

    public init(_ given: [Text: ParameterValue] = [:]) {
        self.given = given
    }

    public subscript(name: Text) -> ParameterValue? {
        get { given[name] }
        set { given[name] = newValue }
    }
}

/// Arguments together with the table of their names, types and defaults.
struct BoundArguments {
    private let parameters: [Parameter]
    private let arguments: Arguments

    /// - Throws: `invalid` for an argument that the table does not have, or a missing one that has no default.
    init(_ arguments: Arguments, for parameters: [Parameter], of owner: Text) throws(InitError) {
        self.parameters = parameters
        self.arguments = arguments
        let strangers = arguments.given.keys.lazy.filter { name in !parameters.contains { $0.name == name } }
        if let name = strangers.min() {
            throw .unknown("parameter of \(owner)", name, in: [name], known: parameters.map(\.name))
        }
        for parameter in parameters where parameter.defaultValue == nil && arguments[parameter.name] == nil {
            throw .invalid(parameter.name, "is missing: \(owner) has no default for it")
        }
    }

    /// `true` if the client gave the argument.
    func isGiven(_ name: Text) -> Bool {
        arguments[name] != nil
    }

    /// The given value; without one, the default.
    func value(_ name: Text) -> ParameterValue {
        arguments[name] ?? parameters.first { $0.name == name }?.defaultValue ?? .null
    }

    func number(_ name: Text) throws(InitError) -> Double {
        switch value(name) {
        case .number(let number): return number
        case .integer(let integer): return Double(integer)
        default: throw .invalid(name, "is not a number")
        }
    }

    func scalar(_ name: Text) throws(InitError) -> Scalar {
        switch value(name) {
        case .number(let number): return .number(number)
        case .integer(let integer): return .integer(integer)
        default: throw .invalid(name, "is not a number")
        }
    }

    func integer(_ name: Text) throws(InitError) -> Int {
        guard case .integer(let integer) = value(name) else { throw .invalid(name, "is not an integer") }
        return integer
    }

    func boolean(_ name: Text) throws(InitError) -> Bool {
        guard case .boolean(let boolean) = value(name) else { throw .invalid(name, "is not a boolean") }
        return boolean
    }

    func text(_ name: Text) throws(InitError) -> Text {
        guard case .text(let text) = value(name) else { throw .invalid(name, "is not a text") }
        return text
    }

    /// One of the words of an enumeration.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: Text,
        ignoresCase: Bool = false
    ) throws(InitError) -> Choice {
        let word = try text(name)
        guard let choice = Choice(ignoresCase ? word.asciiLowercased() : word) else {
            throw .unknown(name.description, word, in: [name], known: Choice.words)
        }
        return choice
    }

    func gain(_ name: Text) throws(InitError) -> Double {
        guard case .gain(let gain) = value(name) else { return try number(name) }
        return try gain.value()
    }
}
