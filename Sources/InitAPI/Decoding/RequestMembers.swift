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
    package var wantsDigest: Bool { has(MemberTable.digest.name) }

    /// The value of a member without aliases, read before the members are decoded, because it decides which table
    /// decodes them.
    func value(of name: Text) -> RequestValue? {
        index(of: name).map { given[$0].value }
    }

    /// `true` if a member is given by this name.
    func has(_ name: Text) -> Bool { index(of: name) != nil }

    // By index, here and below: a closure over the elements would copy each of them.
    private func index(of name: Text) -> Int? {
        for index in given.indices where given[index].name == name { return index }
        return nil
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
        var decoded = DecodedMembers(count: given.count)
        for index in given.indices {
            let name = given[index].name
            guard let place = table.firstIndex(where: { $0.isNamed(name) }) else {
                let names = table.map(\.name)
                if let detail = explain(name) {
                    throw .invalid(name, detail, allowed: names)
                }
                throw .unknown("member", name, in: [name], known: names)
            }
            let member = table[place]
            guard !decoded.has(member) else {
                let earlier = given[..<index].first { member.isNamed($0.name) }?.name ?? name
                throw .invalid(
                    name,
                    earlier == name ? "is given twice" : "is given twice: it is another name of \(earlier)"
                )
            }
            do {
                decoded.insert(member, try member.decode(given[index].value, dtype: dtype), place: place)
            } catch {
                throw error.under(name)
            }
        }
        if let missing = table.first(where: { $0.isRequired && !decoded.has($0) }) {
            throw .invalid(missing.name, "is missing")
        }
        return decoded
    }
}

/// The given members with their typed values, in the order of the table that decoded them.
struct DecodedMembers: Sendable {
    /// So few that a linear search is quicker than hashing.
    private(set) var values: [(place: Int, member: Member, value: ParameterValue)] = []

    /// - Parameter count: The number of members that will be inserted.
    init(count: Int = 0) {
        values.reserveCapacity(count)
    }

    subscript(name: Text) -> ParameterValue? { index(of: name).map { values[$0].value } }

    func has(_ name: Text) -> Bool { index(of: name) != nil }

    // By index: a closure over the elements would copy each of them.
    private func index(of name: Text) -> Int? {
        for index in values.indices where values[index].member.name == name { return index }
        return nil
    }

    fileprivate func has(_ member: Member) -> Bool {
        for index in values.indices where values[index].member === member { return true }
        return false
    }

    /// Adds a member that is known to be missing.
    ///
    /// - Parameter place: The member's place in the table.
    fileprivate mutating func insert(_ member: Member, _ value: ParameterValue, place: Int) {
        var index = values.endIndex
        while index > 0, values[index - 1].place > place { index -= 1 }
        values.insert((place, member, value), at: index)
    }

    /// Replaces the value of a member, if it was given. `nil` removes the member.
    mutating func replace(_ name: Text, by value: ParameterValue?) {
        guard let index = index(of: name) else { return }
        if let value { values[index].value = value } else { values.remove(at: index) }
    }

    /// The same members, completed by the table's defaults for those that were not given.
    func completed(by table: [Member]) -> DecodedMembers {
        var complete = self
        for (place, member) in table.enumerated() where !complete.has(member) {
            if let value = member.defaultValue { complete.insert(member, value, place: place) }
        }
        return complete
    }

    /// The values of those members of a table that were given.
    func arguments(of table: [Member]) -> Arguments {
        var arguments = Arguments()
        for index in values.indices where table.contains(where: { $0 === values[index].member }) {
            arguments[values[index].member.name] = values[index].value
        }
        return arguments
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
