package import ByteText
package import WeightInit

/// The members of a request, or of an object in it, in the order given and not yet of any type.
package struct RequestMembers: Sendable {
    var given: [(name: Text, value: RequestValue)]

    /// Members of a query, decoded.
    package init(texts: some Sequence<(name: Text, text: Text)>) {
        given = []
        given.reserveCapacity(texts.underestimatedCount)
        for (name, text) in texts {
            if name == "shape", let index = given.firstIndex(where: { $0.name == name }),
                case .text(let earlier) = given[index].value, earlier.isList, text.isList
            {
                // Many HTTP libraries write a list by repeating the name: shape=64&shape=3
                given[index].value = .text(earlier + "," + text)
            } else {
                given.append((name, .text(text)))
            }
        }
    }

    /// Members of a JSON object.
    ///
    /// - Throws: `invalid` if the bytes are not JSON or not an object, `tooLarge` past the limits.
    package init(parsing json: [UInt8], _ limits: JSONLimits) throws(InitError) {
        let value = try JSONParser.parse(json, limits: limits)
        guard case .object(let members) = value else {
            throw InitError(
                .invalid,
                [],
                "the request must be a JSON object, found \(RequestValue.json(value).description)"
            )
        }
        self.init(members)
    }

    init(_ members: [JSONValue.Member]) {
        given = members.map { ($0.name, .json($0.value)) }
    }

    /// - Throws: `invalid` if there is a member.
    package func requireNone() throws(InitError) {
        _ = try decode(by: [])
    }

    /// `true` if the request asks for the digest of the body.
    package var wantsDigest: Bool { value(of: MemberTable.digest.name) != nil }

    /// The value of a member without aliases, read before the members are decoded, because it decides which table
    /// decodes them.
    func value(of name: Text) -> RequestValue? {
        given.first { $0.name == name }?.value
    }

    /// Gives every member its type.
    ///
    /// - Parameters:
    ///   - table: Members that may be given.
    ///   - dtype: The dtype of a layer inside a member if that layer names none.
    ///   - explain: Gives a more specific message for a name that is not in the table, or `nil` if there is none.
    /// - Throws: `invalid` for a name that is not in the table, for a member that is given twice (also by an alias) or
    ///   missing, and for a value of another type.
    func decode(
        by table: [Member],
        dtype: DType = .float32,
        explainingUnknown explain: (Text) -> String? = { _ in nil }
    ) throws(InitError) -> DecodedMembers {
        var decoded = DecodedMembers()
        for (index, (name, value)) in given.enumerated() {
            guard let member = table.first(where: { $0.name == name || $0.aliases.contains(name) }) else {
                let names = table.map(\.name)
                if let detail = explain(name) {
                    throw .invalid(name, detail, allowed: names)
                }
                throw .unknown("member", name, in: [name], known: names)
            }
            if decoded[member.name] != nil {
                let spellings = [member.name] + member.aliases
                let earlier = given[..<index].first { spellings.contains($0.name) }?.name ?? name
                throw .invalid(
                    name,
                    earlier == name ? "is given twice" : "is given twice: it is another name of \(earlier)"
                )
            }
            do {
                decoded[member.name] = try member.decode(value, dtype: dtype)
            } catch {
                throw error.under(name)
            }
        }
        if let missing = table.first(where: { $0.isRequired && decoded[$0.name] == nil }) {
            throw .invalid(missing.name, "is missing")
        }
        return decoded
    }
}

/// The given members with their typed values, by canonical name.
struct DecodedMembers: Sendable {
    /// So few that a linear search is quicker than hashing.
    private var values: [(name: Text, value: ParameterValue)] = []

    subscript(name: Text) -> ParameterValue? {
        get { values.first { $0.name == name }?.value }
        set {
            values.removeAll { $0.name == name }
            if let newValue { values.append((name, newValue)) }
        }
    }

    /// The same members, completed by the table's defaults for those that were not given.
    func completed(by table: [Member]) -> DecodedMembers {
        var complete = self
        for member in table where complete[member.name] == nil {
            complete[member.name] = member.defaultValue
        }
        return complete
    }

    func text(_ name: Text) -> Text? {
        if case .text(let text)? = self[name] { text } else { nil }
    }

    func number(_ name: Text) -> Double? {
        if case .number(let number)? = self[name] { number } else { nil }
    }

    func integer(_ name: Text) -> Int? {
        if case .integer(let integer)? = self[name] { integer } else { nil }
    }

    func boolean(_ name: Text) -> Bool? {
        if case .boolean(let boolean)? = self[name] { boolean } else { nil }
    }

    func integers(_ name: Text) -> [Int]? {
        if case .integers(let integers)? = self[name] { integers } else { nil }
    }

    func dtype(_ name: Text) -> DType? {
        text(name).flatMap { DType($0) }
    }
}

extension Text {
    /// `true` for integers between commas.
    fileprivate var isList: Bool { !isEmpty && utf8.allSatisfy { $0.isDigit || $0 == UInt8(ascii: ",") } }
}
