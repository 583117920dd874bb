import WeightInit

/// A value as a client wrote it: text in a query, or JSON.
enum RequestValue: Sendable, Equatable {
    case text(String)
    case json(JSONValue)

    /// What was given, for a message.
    var description: String {
        switch self {
        case .text(let text): text.quotedForMessage
        case .json(.null): "null"
        case .json(.boolean(let value)): value ? "true" : "false"
        case .json(.number(let text)): text.utf8.count > 64 ? "a long number" : text
        case .json(.string(let text)): "the string " + text.quotedForMessage
        case .json(.array): "an array"
        case .json(.object): "an object"
        }
    }

    fileprivate func mismatch(_ expected: String) -> InitError {
        InitError(.invalid, [], "must be \(expected), found \(description)")
    }
}

/// How each type is read, from text and from JSON alike; the errors' paths start at the value.
extension RequestValue {
    func boolean() throws(InitError) -> Bool {
        switch self {
        case .text("true"), .json(.boolean(true)): return true
        case .text("false"), .json(.boolean(false)): return false
        default: throw mismatch("true or false")
        }
    }

    func word() throws(InitError) -> String {
        switch self {
        case .text(let text), .json(.string(let text)): return text
        default: throw mismatch("a string")
        }
    }

    /// One of `words`, in their spelling.
    func choice(_ words: [String], ignoresCase: Bool, what: String = "value") throws(InitError) -> String {
        let given = try word()
        let folded = ignoresCase ? given.lowercased() : given
        guard let word = words.first(where: { (ignoresCase ? $0.lowercased() : $0) == folded }) else {
            throw .unknown(what, given, in: [], known: words)
        }
        return word
    }

    /// The digits of an integer, not yet of any size.
    private func integerText() throws(InitError) -> String {
        switch self {
        case .text(let text), .json(.number(let text)):
            guard JSONNumber.isInteger(text) else { throw mismatch("an integer") }
            return text
        default:
            throw mismatch("an integer")
        }
    }

    func integer() throws(InitError) -> Int {
        let text = try integerText()
        guard let value = Int(text) else {
            throw InitError(.invalid, [], "is out of range: integers go from −2^63 to 2^63 − 1")
        }
        return value
    }

    /// A float64; `inf`, `-inf` and `nan` as text.
    func number() throws(InitError) -> Double {
        switch self {
        case .text(let text), .json(.string(let text)):
            switch text {
            case "inf": return .infinity
            case "-inf": return -.infinity
            case "nan": return .nan
            default:
                guard case .text = self else { throw mismatch(#"a number, "inf", "-inf" or "nan""#) }
                // A query's + is a space, which numbers do not hold.
                let hint = text.contains(" ") ? "; in a query + means a space, a plus sign is %2B" : ""
                guard JSONNumber.isWellFormed(text) else {
                    throw InitError(.invalid, [], mismatch("a number").detail + hint)
                }
                return try RequestValue.finite(text)
            }
        case .json(.number(let text)):
            return try RequestValue.finite(text)
        default:
            throw mismatch("a number")
        }
    }

    /// - Parameter text: A well-formed number.
    private static func finite(_ text: String) throws(InitError) -> Double {
        guard let value = Double(text), value.isFinite else {
            throw InitError(.invalid, [], "is over the largest float64")
        }
        return value
    }

    func seed() throws(InitError) -> Seed {
        switch self {
        case .text(let text), .json(.string(let text)), .json(.number(let text)):
            do {
                return try Seed(decimal: text)
            } catch {
                throw InitError(error.kind, [], error.detail)
            }
        default:
            throw mismatch("an integer or a string of decimal digits")
        }
    }

    func slice() throws(InitError) -> Slice {
        try Slice(try word())
    }

    /// The elements of a list: a JSON array, or `6,4` or `[6,4]`.
    private func elements(of expected: String) throws(InitError) -> [RequestValue] {
        switch self {
        case .json(.array(let elements)):
            return elements.map(RequestValue.json)
        case .text(let text):
            var list = text.trimmed
            if list.utf8.first == UInt8(ascii: "[") {
                guard list.utf8.last == UInt8(ascii: "]") else {
                    throw InitError(.invalid, [], "the bracket is not closed")
                }
                list = list.dropFirst().dropLast().trimmed
            }
            guard !list.isEmpty else { return [] }
            return list.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
                .map { .text(String(Substring($0).trimmed)) }
        default:
            throw mismatch(expected)
        }
    }

    /// The sizes of a tensor. One that does not fit 63 bits is over a limit, not out of range.
    func dimensions() throws(InitError) -> [Int] {
        var dimensions: [Int] = []
        for (index, element) in try elements(of: "an array of integers").enumerated() {
            do throws(InitError) {
                guard element != .text("") else {
                    throw InitError(.invalid, [], "is empty")
                }
                let text = try element.integerText()
                guard let dimension = Int(text) else {
                    throw text.first == "-"
                        ? InitError(.invalid, [], "is negative") : InitError(.tooLarge, [], "is over 2^63 − 1")
                }
                dimensions.append(dimension)
            } catch {
                throw error.under(String(index))
            }
        }
        return dimensions
    }

    /// One integer, or a list of `count` of them where that is given.
    func integers(count: Int?) throws(InitError) -> ParameterValue {
        switch self {
        case .json(.number):
            return .integer(try integer())
        case .text(let text) where JSONNumber.isInteger(text):
            return .integer(try integer())
        default:
            break
        }
        var integers: [Int] = []
        for (index, element) in try elements(of: "an integer or an array of integers").enumerated() {
            do throws(InitError) {
                integers.append(try element.integer())
            } catch {
                throw error.under(String(index))
            }
        }
        if let count, integers.count != count {
            throw InitError(.invalid, [], "must be one integer or \(count) of them, found \(integers.count)")
        }
        return .integers(integers)
    }

    /// A value that changes nothing, or whose type is looked at later.
    func anything() -> ParameterValue {
        switch self {
        case .text(let text), .json(.string(let text)): return .text(text)
        case .json(.null): return .null
        case .json(.boolean(let value)): return .boolean(value)
        case .json(let json):
            if let integers = try? integers(count: nil) { return integers }
            if let number = try? number() { return .number(number) }
            return .text(json.encodedText)
        }
    }

    /// The members of an object.
    func members() throws(InitError) -> RequestMembers {
        guard case .json(.object(let members)) = self else { throw mismatch("an object") }
        return RequestMembers(members)
    }

    /// A number, or an activation: `{"nonlinearity":"leaky_relu","param":0.2}`, in a query `leaky_relu:0.2`.
    func gain() throws(InitError) -> GainArgument {
        let argument: GainArgument
        switch self {
        case .json(.object(let members)):
            argument = try RequestValue.gain(of: RequestMembers(members))
        case .text(let text)
        where text.utf8.first.map { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") } ?? false
            && text != "inf" && text != "nan":
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let param = try parts.count < 2 ? nil : RequestValue.text(String(parts[1])).number()
            argument = .nonlinearity(name: String(parts[0]), param: param)
        default:
            do {
                argument = .number(try number())
            } catch {
                throw mismatch(#"a number or {"nonlinearity":…,"param":…} (in a query name:param)"#)
            }
        }
        if case .nonlinearity(let name, _) = argument, Nonlinearity.named(name) == nil {
            throw .unknown("activation", name, in: ["nonlinearity"], known: Nonlinearity.all.map(\.name))
        }
        return argument
    }

    private static func gain(of members: RequestMembers) throws(InitError) -> GainArgument {
        let decoded = try members.decode(by: MemberTable.gainArgument)
        guard case .text(let name)? = decoded["nonlinearity"] else {
            throw .invalid("nonlinearity", "is missing")
        }
        return .nonlinearity(name: name, param: decoded.number("param"))
    }
}
