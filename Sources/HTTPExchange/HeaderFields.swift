public import HTTPTypes

/// The fields of a head, in their order.
///
/// Not swift-http-types' `HTTPFields`, in which adding a field goes through generic code for any change of any range.
/// That takes a noticeable part of a small request's time.
public struct HeaderFields: Sendable, Equatable {
    private var list: [HTTPField] = []

    public init() {}

    public mutating func reserveCapacity(_ count: Int) {
        list.reserveCapacity(count)
    }

    /// Adds a field behind the others, also if there is one of its name.
    public mutating func append(_ field: HTTPField) {
        list.append(field)
    }

    /// The value of a name; several are joined by commas. Setting it replaces the first value and removes the others.
    public subscript(name: HTTPField.Name) -> String? {
        get {
            guard let first = firstIndex(of: name) else { return nil }
            guard let second = firstIndex(of: name, from: first + 1) else { return list[first].value }
            let others = list[second...].filter { $0.name == name }
            return others.reduce(list[first].value) { $0 + ", " + $1.value }
        }
        set {
            guard let first = firstIndex(of: name) else {
                if let newValue { list.append(HTTPField(name: name, value: newValue)) }
                return
            }
            var seen = 0
            if let newValue {
                list[first] = HTTPField(name: name, value: newValue)
                seen = first + 1
            }
            while let index = firstIndex(of: name, from: seen) { list.remove(at: index) }
        }
    }

    /// The values of a name.
    public subscript(values name: HTTPField.Name) -> [String] {
        list.filter { $0.name == name }.map(\.value)
    }

    private func firstIndex(of name: HTTPField.Name, from start: Int = 0) -> Int? {
        // By index, because a closure over the fields would copy each of them.
        for index in start..<list.endIndex where list[index].name == name { return index }
        return nil
    }
}

extension HeaderFields: RandomAccessCollection {
    public var startIndex: Int { list.startIndex }
    public var endIndex: Int { list.endIndex }
    public subscript(position: Int) -> HTTPField { list[position] }
}

extension HeaderFields: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (HTTPField.Name, String)...) {
        list = elements.map { HTTPField(name: $0.0, value: $0.1) }
    }
}
