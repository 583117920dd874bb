internal import ByteText
import TensorFormats
import WeightInit

/// A request written in the one way that all its spellings share: canonical names, in the tables' order, without values
/// that equal their defaults.
struct CanonicalRequest: Sendable {
    /// Bytes for which there is room from the start.
    private static let commonURLBytes = 256

    private(set) var members: [(member: Member, value: ParameterValue)] = []

    /// - Parameter others: Members that are no part of the request's identity.
    init(_ decoded: DecodedMembers, without others: [Member] = []) {
        members.reserveCapacity(decoded.values.count)
        for index in decoded.values.indices {
            let member = decoded.values[index].member
            // As text, because that tells −0 from 0.
            if let text = member.defaultText, text == decoded.values[index].value.queryText { continue }
            guard !others.contains(where: { $0 === member }) else { continue }
            members.append((member, decoded.values[index].value))
        }
    }

    func appending(_ member: Member, _ value: ParameterValue) -> CanonicalRequest {
        var copy = self
        copy.members.append((member, value))
        return copy
    }

    func removing(_ member: Member) -> CanonicalRequest {
        var copy = self
        copy.members.removeAll { $0.member === member }
        return copy
    }

    /// The request as a URL relative to the service.
    func url(_ path: Text) -> Text {
        var url: [UInt8] = []
        url.reserveCapacity(Self.commonURLBytes)
        path.append(to: &url)
        for index in members.indices {
            url.append(index == 0 ? UInt8(ascii: "?") : UInt8(ascii: "&"))
            members[index].member.name.append(to: &url)
            url.append(UInt8(ascii: "="))
            PercentEncoding.appendQueryComponent(members[index].value.queryText, to: &url)
        }
        return Text(decoding: url.span)
    }

    /// The request as JSON text.
    var encodedText: Text {
        var writer = JSONWriter()
        writer.object { writer in
            for index in members.indices {
                writer.member(members[index].member.name, members[index].value.json(of: members[index].member.kind))
            }
        }
        return Text(decoding: writer.bytes)
    }

    /// The request as JSON.
    var json: JSONValue {
        .object(members.map { JSONValue.Member(name: $0.member.name, value: $0.value.json(of: $0.member.kind)) })
    }
}

extension ParameterValue {
    /// The value as a query writes it, before percent-encoding.
    var queryText: Text {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): Text(value)
        case .number(let value), .gain(.number(let value)): value.queryText
        case .text(let text): text
        case .gain(.nonlinearity(let name, let param)): name + (param.map { ":" + $0.queryText } ?? "")
        case .integers(let values): Text(values.map(String.init).joined(separator: ","))
        case .numbers(let values): Text(values.map { $0.queryText.description }.joined(separator: ","))
        case .layer(let layer): JSONValue.object(layer.json(within: .float32)).encodedText
        }
    }

    func json(of kind: Member.Kind) -> JSONValue {
        switch self {
        case .null: .null
        case .boolean(let value): .boolean(value)
        case .integer(let value): .integer(value)
        case .number(let value), .gain(.number(let value)): .double(value)
        case .text(let text): kind == .seed ? .number(text) : .string(text)
        case .gain(.nonlinearity(let name, let param)):
            param.map { ["nonlinearity": .string(name), "param": .double($0)] } ?? ["nonlinearity": .string(name)]
        case .integers(let values): .integers(values)
        case .numbers(let values): .array(values.map(JSONValue.double))
        case .layer(let layer): .object(layer.json(within: .float32))
        }
    }
}

extension Double {
    /// The shortest decimal, without its fraction if that is 0.
    fileprivate var queryText: Text {
        let text = Text(shortestText)
        return text.removing(suffix: ".0") ?? text
    }
}
