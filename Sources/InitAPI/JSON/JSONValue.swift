package import ByteText

/// A JSON value, with its numbers as they were written and its members in their order.
package enum JSONValue: Sendable, Equatable {
    package struct Member: Sendable, Equatable {
        package var name: Text
        package var value: JSONValue

        package init(name: Text, value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    case null
    case boolean(Bool)
    /// The digits as they were written: their meaning depends on the type that the reader expects.
    case number(Text)
    case string(Text)
    case array([JSONValue])
    case object([Member])

    package static func integer(_ value: Int) -> JSONValue {
        .number(Text(value))
    }

    package static func integer(_ value: some BinaryInteger) -> JSONValue {
        .number(Text(value))
    }

    /// The shortest digits that round-trip; the strings `inf`, `-inf` and `nan` for values that JSON has no number for.
    package static func double(_ value: Double) -> JSONValue {
        value.isFinite ? .number(Text(value.shortestText)) : .string(Text(value.shortestText))
    }

    package static func strings(_ values: [Text]) -> JSONValue {
        .array(values.map(JSONValue.string))
    }

    package static func integers(_ values: [Int]) -> JSONValue {
        .array(values.map(JSONValue.integer))
    }
}

extension JSONValue: ExpressibleByStringLiteral {
    package init(stringLiteral value: String) {
        self = .string(Text(value))
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (Text, JSONValue)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
}

extension [JSONValue.Member] {
    /// Adds a member at the end if there is a value.
    package mutating func append(_ name: Text, _ value: JSONValue?) {
        if let value { append(JSONValue.Member(name: name, value: value)) }
    }
}

extension Double {
    /// The shortest decimal that reads back as the same float64, without the `+` that a query would take for a space.
    var shortestText: String {
        isNaN ? "nan" : String(decoding: description.utf8.filter { $0 != UInt8(ascii: "+") }, as: UTF8.self)
    }
}
