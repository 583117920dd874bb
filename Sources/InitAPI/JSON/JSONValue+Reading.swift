package import ByteText
package import WeightInit

extension JSONValue {
    /// Reads JSON that this program has written, however long it is.
    package init(ownText bytes: [UInt8]) throws(InitError) {
        self = try JSONParser.parse(bytes, limits: JSONLimits(values: .max))
    }

    /// A member of an object; `nil` if there is none.
    package subscript(name: Text) -> JSONValue? {
        if case .object(let members) = self { members.first { $0.name == name }?.value } else { nil }
    }

    /// The elements of a list; empty for any other value.
    package var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    package var text: Text? {
        if case .string(let text) = self { text } else { nil }
    }

    package var integer: Int? {
        if case .number(let digits) = self { Int(digits.description) } else { nil }
    }

    /// A number, including those that JSON writes as a string, such as `"inf"`.
    package var double: Double? {
        switch self {
        case .number(let digits): Double(digits.description)
        case .string(let word): Double(word.description)
        default: nil
        }
    }
}
