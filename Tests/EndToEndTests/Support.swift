import SHA2
import Foundation
import GoldenVectors
import HTTPDaemon
import InitService
import Testing
import TestSupport

/// Runs the service on a free port of 127.0.0.1, configured as `weight-init serve` does, and stops it afterwards.
func withService(
    _ change: (inout DaemonConfiguration) -> Void = { _ in },
    _ body: (Caller) throws -> Void
) throws {
    try withDaemon(change) { daemon, _ in try body(Caller(port: daemon.port)) }
}

/// Runs the service as `withService` does, for tests that access the daemon or the service.
func withDaemon(
    _ change: (inout DaemonConfiguration) -> Void = { _ in },
    _ body: (HTTPDaemon, InitService) throws -> Void
) throws {
    var configuration = DaemonConfiguration.patient
    change(&configuration)
    let service = InitService()
    let daemon = try HTTPDaemon(configuration: configuration, handler: service)
    defer { daemon.stop() }
    try body(daemon, service)
}

extension DaemonConfiguration {
    /// A configuration with a free port and long timeouts, because a test may wait long beside other tests or under a
    /// sanitizer.
    static var patient: DaemonConfiguration {
        var configuration = DaemonConfiguration()
        configuration.port = 0
        configuration.idleTimeout = .seconds(600)
        configuration.receiveTimeout = .seconds(600)
        configuration.deferred.waitLimit = .seconds(600)
        return configuration
    }
}

/// Sends requests one after the other, on one connection as long as the server keeps it open.
final class Caller {
    typealias Response = RawClient.Response

    let port: UInt16
    private var client: RawClient?

    init(port: UInt16) {
        self.port = port
    }

    func get(_ target: String, _ fields: [String: String] = [:]) throws -> Response {
        try ask("GET", target, fields)
    }

    func head(_ target: String, _ fields: [String: String] = [:]) throws -> Response {
        try ask("HEAD", target, fields)
    }

    func post(_ target: String, json: String, _ fields: [String: String] = [:]) throws -> Response {
        try ask("POST", target, ["Content-Type": "application/json"].merging(fields) { $1 }, body: json)
    }

    func ask(
        _ method: String,
        _ target: String,
        _ fields: [String: String] = [:],
        body: String? = nil
    ) throws -> Response {
        let client = try open()
        client.send(Self.request(method, target, fields, body: body))
        let response = try client.readResponse(toHead: method == "HEAD")
        closeIfTold(response)
        return response
    }

    /// Sends a POST and passes on the body piece by piece as it arrives.
    func stream(
        post json: String,
        to target: String,
        accept: String,
        _ consume: (ArraySlice<UInt8>) throws -> Void
    ) throws -> Response {
        let client = try open()
        client.send(Self.request("POST", target, ["Content-Type": "application/json", "Accept": accept], body: json))
        let head = try client.readHead()
        try client.readBody(after: head, consume)
        closeIfTold(head)
        return head
    }

    /// Everything that the server sends in answer to a request with `Connection: close`.
    func exchangeToEnd(_ method: String, _ target: String) throws -> (head: Response, rest: [UInt8]) {
        let client = try RawClient(port: port)
        client.send(Self.request(method, target, ["Connection": "close", "X-Request-Id": "a"], body: nil))
        let head = try client.readHead()
        return (head, client.readToEnd())
    }

    private func open() throws -> RawClient {
        let client = try self.client ?? RawClient(port: port)
        self.client = client
        return client
    }

    private func closeIfTold(_ response: Response) {
        if response["Connection"]?.lowercased() == "close" { client = nil }
    }

    private static func request(_ method: String, _ target: String, _ fields: [String: String], body: String?) -> String
    {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.utf8.count)\r\n" }
        return head + "\r\n" + (body ?? "")
    }
}

extension RawClient.Response {
    func json() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any])
    }

    /// Checks that a refusal is a problem document of RFC 9457 with the members that the service adds.
    func expectProblem(_ expected: Int, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(status == expected, "\(what) \(text)", sourceLocation: sourceLocation)
        #expect(self["Content-Type"] == "application/problem+json", "\(what)", sourceLocation: sourceLocation)
        #expect(self["Cache-Control"] == "no-store", "\(what)", sourceLocation: sourceLocation)
        let document = try json()
        #expect(document["status"] as? Int == expected, "\(what)", sourceLocation: sourceLocation)
        for member in ["type", "title", "detail"] {
            #expect(
                (document[member] as? String)?.isEmpty == false,
                "\(what) \(member)",
                sourceLocation: sourceLocation
            )
        }
    }
}

/// `#require` for use inside another macro's arguments.
func unwrap<Value>(_ value: Value?) throws -> Value {
    try #require(value)
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

func sha256(_ bytes: some Sequence<UInt8>) -> String {
    SHA256.hash(data: Array(bytes)).description
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
func percentEncoded(_ text: String) -> String {
    var unreserved = CharacterSet(charactersIn: "-._~")
    unreserved.formUnion(CharacterSet(charactersIn: "a"..."z"))
    unreserved.formUnion(CharacterSet(charactersIn: "A"..."Z"))
    unreserved.formUnion(CharacterSet(charactersIn: "0"..."9"))
    return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
}

/// A request that can be written as a query or as JSON.
struct Question {
    /// Names, and values in JSON.
    var members: [(name: String, json: String)]

    /// The members as a query, which has numbers and texts without quotes.
    var query: String {
        members.map { name, json in
            let text = json.hasPrefix("\"") ? String(json.dropFirst().dropLast()) : json
            return name + "=" + percentEncoded(text)
        }.joined(separator: "&")
    }

    var json: String {
        "{" + members.map { "\"\($0.name)\":\($0.json)" }.joined(separator: ",") + "}"
    }

    func with(_ name: String, _ json: String) -> Question {
        Question(members: members + [(name, json)])
    }
}

extension GoldenParameter {
    var json: String {
        switch self {
        case .integer(let integer): String(integer)
        case .number(let number): "\(number)"
        case .text(let text): "\"\(text)\""
        }
    }
}

extension GoldenCase {
    /// The call as a request to `/init` or `/gain`.
    var question: Question {
        get throws {
            if kind == .gain {
                let param = param.map { [("param", "\($0)")] } ?? []
                return Question(members: [("nonlinearity", "\"\(try #require(nonlinearity))\"")] + param)
            }
            var members = [("seed", seed)]
            // A refused seed needs an otherwise valid tensor.
            members.append(("method", "\"\(method ?? "normal_")\""))
            members.append(("shape", "\(shape ?? [2])"))
            if let dtype { members.append(("dtype", "\"\(dtype)\"")) }
            for (name, value) in (params ?? [:]).sorted(by: { $0.key < $1.key }) {
                members.append((name, value.json))
            }
            return Question(members: members)
        }
    }
}
