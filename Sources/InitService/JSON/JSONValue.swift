package import WeightInit

/// A JSON value, with its numbers as they were written and its members in their order.
package enum JSONValue: Sendable, Equatable {
    package struct Member: Sendable, Equatable {
        package var name: String
        package var value: JSONValue
    }

    case null
    case boolean(Bool)
    /// The digits as they were written: only who knows the type can tell what they mean.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    static func integer(_ value: some BinaryInteger) -> JSONValue {
        .number(String(value))
    }

    /// The shortest digits that round-trip; the strings `inf`, `-inf` and `nan` where JSON has no number.
    static func double(_ value: Double) -> JSONValue {
        value.isFinite ? .number(value.shortestText) : .string(value.shortestText)
    }

    static func strings(_ values: [String]) -> JSONValue {
        .array(values.map(JSONValue.string))
    }

    static func integers(_ values: [Int]) -> JSONValue {
        .array(values.map(JSONValue.integer))
    }
}

extension JSONValue: ExpressibleByStringLiteral {
    package init(stringLiteral value: String) {
        self = .string(value)
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
}

extension [JSONValue.Member] {
    /// Adds a member at the end; none where there is no value.
    mutating func append(_ name: String, _ value: JSONValue?) {
        if let value { append(JSONValue.Member(name: name, value: value)) }
    }
}

extension Double {
    /// The shortest decimal that reads back as the same float64, without the `+` that a query would take for a space.
    var shortestText: String {
        isNaN ? "nan" : String(description.filter { $0 != "+" })
    }
}

extension JSONValue {
    /// - Throws: `invalid` for what is not JSON.
    package init(parsing bytes: [UInt8]) throws(InitError) {
        self = try JSONParser.parse(bytes, limits: JSONLimits(values: .max))
    }
}
