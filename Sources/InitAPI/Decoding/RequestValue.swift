internal import ByteText
import WeightInit

/// A value as a client wrote it: text in a query, or JSON.
enum RequestValue: Sendable, Equatable {
    case text(Text)
    case json(JSONValue)

    /// The given value, for messages.
    var description: String {
        switch self {
        case .text(let text): text.quotedForMessage
        case .json(.null): "null"
        case .json(.boolean(let value)): value ? "true" : "false"
        case .json(.number(let text)): text.byteCount > 64 ? "a long number" : text.description
        case .json(.string(let text)): "the string " + text.quotedForMessage
        case .json(.array): "an array"
        case .json(.object): "an object"
        }
    }

    fileprivate func mismatch(_ expected: String) -> InitError {
        InitError(.invalid, [], "must be \(expected), found \(description)")
    }
}

/// Readers of each type, for text and JSON alike. The path of an error starts at the value.
extension RequestValue {
    func boolean() throws(InitError) -> Bool {
        switch self {
        case .text("true"), .json(.boolean(true)): return true
        case .text("false"), .json(.boolean(false)): return false
        default: throw mismatch("true or false")
        }
    }

    func word() throws(InitError) -> Text {
        switch self {
        case .text(let text), .json(.string(let text)): return text
        default: throw mismatch("a string")
        }
    }

    /// One of `words`, in their spelling.
    func choice(
        _ words: [Text],
        ignoresCase: Bool,
        spellings: OtherSpellings? = nil,
        what: String = "value"
    ) throws(InitError) -> Text {
        let given = try word()
        if let word = words.first(where: { ignoresCase ? $0.equalsIgnoringASCIICase(given) : $0 == given }) {
            return word
        }
        guard let word = spellings?.canonicalWord(given), words.contains(word) else {
            if let detail = spellings?.elsewhere(given) { throw InitError(.invalid, [], detail, allowed: words) }
            throw .unknown(what, given, in: [], known: words, aliases: spellings?.words ?? [])
        }
        return word
    }

    /// The digits of an integer of any size.
    private func integerText() throws(InitError) -> Text {
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
        guard let value = Int(text.description) else {
            throw InitError(.invalid, [], "is out of range: integers go from −2^63 to 2^63 − 1")
        }
        return value
    }

    /// A number for an element of any type. Integers that a float64 may not hold exactly stay integers.
    func scalar() throws(InitError) -> ParameterValue {
        if case .json(.number(let text)) = self, let integer = Int(text.description), integer.magnitude > 1 << 53 {
            return .integer(integer)
        }
        return .number(try number())
    }

    /// A float64; `inf`, `-inf` and `nan` are text, also in the spellings of other languages.
    func number() throws(InitError) -> Double {
        switch self {
        case .text(let text), .json(.string(let text)):
            let unsigned = RequestValue.withoutPlusSigns(text)
            if let value = RequestValue.nonfinite(unsigned) { return value }
            guard case .text = self else { throw mismatch(#"a number, "inf", "-inf" or "nan""#) }
            guard JSONNumber.isWellFormed(unsigned) else { throw mismatch("a number") }
            return try RequestValue.finite(unsigned)
        case .json(.number(let text)):
            return try RequestValue.finite(text)
        default:
            throw mismatch("a number")
        }
    }

    private static func nonfinite(_ text: Text) -> Double? {
        switch text.asciiLowercased() {
        case "inf", "infinity": .infinity
        case "-inf", "-infinity": -.infinity
        case "nan": .nan
        default: nil
        }
    }

    /// A number without the plus sign that may stand before it or its exponent: `1e05` for `1e+05`.
    ///
    /// A plus sign of a query that is not percent-encoded arrives as a space.
    private static func withoutPlusSigns(_ text: Text) -> Text {
        let isPlus = { (byte: UInt8) in byte == UInt8(ascii: "+") || byte == UInt8(ascii: " ") }
        guard text.utf8.contains(where: isPlus) else { return text }
        let bytes = Array(text.utf8)
        let kept = bytes.indices.filter { index in
            guard isPlus(bytes[index]), index + 1 < bytes.count, bytes[index + 1] != UInt8(ascii: "-") else {
                return true
            }
            return index > 0 && bytes[index - 1] | 0x20 != UInt8(ascii: "e")
        }
        return Text(decoding: kept.map { bytes[$0] })
    }

    /// - Parameter text: A well-formed number.
    private static func finite(_ text: Text) throws(InitError) -> Double {
        guard let value = Double(text.description), value.isFinite else {
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

    /// The elements of a list: a JSON array, or `6,4`, `[6,4]`, `(6,4)` or `6x4`.
    private func elements(of expected: String) throws(InitError) -> [RequestValue] {
        switch self {
        case .json(.array(let elements)):
            return elements.map(RequestValue.json)
        case .text(let text):
            var list = text.trimmed
            for (opening, closing) in [("[", "]"), ("(", ")")] as [(Text, Text)] {
                guard let opened = list.removing(prefix: opening) else { continue }
                guard let inner = opened.removing(suffix: closing) else {
                    throw InitError(.invalid, [], "the bracket is not closed")
                }
                // Python writes a tuple of one element with a comma: (4,)
                list = (opening == "(" ? inner.trimmed.removing(suffix: ",") ?? inner : inner).trimmed
                break
            }
            guard !list.isEmpty else { return [] }
            // 64x3x7x7; 0x10 is more likely a hexadecimal number than a product.
            let isProduct = !list.hasPrefix("0x") && list.utf8.allSatisfy { $0.isDigit || $0 == UInt8(ascii: "x") }
            return list.split(separator: isProduct ? "x" : ",").map { .text($0.trimmed) }
        default:
            throw mismatch(expected)
        }
    }

    /// The sizes of a tensor. One that does not fit 63 bits is over a limit, not out of range.
    func dimensions() throws(InitError) -> [Int] {
        try list(of: "an array of integers") { element throws(InitError) in
            guard element != .text("") else {
                throw InitError(.invalid, [], "is empty")
            }
            let text = try element.integerText()
            guard let dimension = Int(text.description) else {
                throw text.hasPrefix("-")
                    ? InitError(.invalid, [], "is negative") : InitError(.tooLarge, [], "is over 2^63 − 1")
            }
            return dimension
        }
    }

    /// The elements of a list, each read by a function. The path of an error begins with the element's index.
    private func list<Element>(
        of expected: String,
        _ read: (RequestValue) throws(InitError) -> Element
    ) throws(InitError) -> [Element] {
        var list: [Element] = []
        for (index, element) in try elements(of: expected).enumerated() {
            do throws(InitError) {
                list.append(try read(element))
            } catch {
                throw error.under(Text(index))
            }
        }
        return list
    }

    /// One integer, or a list of integers, of which there must be `count` if that is given.
    func integers(count: Int?) throws(InitError) -> ParameterValue {
        switch self {
        case .json(.number):
            return .integer(try integer())
        case .text(let text) where JSONNumber.isInteger(text):
            return .integer(try integer())
        default:
            break
        }
        let integers = try list(of: "an integer or an array of integers") { element throws(InitError) in
            try element.integer()
        }
        if let count, integers.count != count {
            throw InitError(.invalid, [], "must be one integer or \(count) of them, found \(integers.count)")
        }
        return .integers(integers)
    }

    /// A number, or a list of them.
    func numbers() throws(InitError) -> ParameterValue {
        switch self {
        case .json(.array): break
        case .text(let text) where text.contains("," as Unicode.Scalar) || text.hasPrefix("["): break
        default: return .number(try number())
        }
        return .numbers(
            try list(of: "a number or an array of numbers") { element throws(InitError) in try element.number() }
        )
    }

    /// A parameter that accepts only PyTorch's default.
    func onlyDefault(_ value: ParameterValue) throws(InitError) -> ParameterValue {
        guard anything() == value else {
            throw mismatch("\(value.queryText), the default: a request cannot hold another value")
        }
        return value
    }

    /// A value of any type: it has no effect, or its type is checked later.
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
            && RequestValue.nonfinite(text) == nil:
            let parts = text.split(separator: ":", maxSplits: 1)
            let param = try parts.count < 2 ? nil : RequestValue.text(parts[1]).number()
            argument = .nonlinearity(name: parts[0], param: param)
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

    /// Members of an activation.
    private static let activation = [
        Member("nonlinearity", .word, isRequired: true, "the activation"),
        MemberTable.activationParam,
    ]

    private static func gain(of members: RequestMembers) throws(InitError) -> GainArgument {
        let decoded = try members.decode(by: activation)
        guard case .text(let name)? = decoded["nonlinearity"] else {
            throw .invalid("nonlinearity", "is missing")
        }
        return .nonlinearity(name: name, param: decoded.number("param"))
    }
}
