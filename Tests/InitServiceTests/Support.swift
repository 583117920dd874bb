import ByteSource
import Foundation
import HTTPExchange
import HTTPTypes
import InitService
import Testing

/// A reply as a client would receive it.
struct Answer {
    var status: Int
    var fields: HeaderFields
    var body: [UInt8] = []
    /// The Content-Length that a transport would send; `nil` if it would send chunks.
    var statedLength: Int?
    var wasDeferred = false

    subscript(name: String) -> String? {
        HTTPField.Name(name).flatMap { fields[$0] }
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    func json() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any])
    }

    /// The only entry of a problem document's `errors`.
    func fault() throws -> Fault {
        #expect(self["Content-Type"] == "application/problem+json")
        #expect(self["Cache-Control"] == "no-store")
        let document = try json()
        #expect(document["status"] as? Int == status)
        #expect((document["type"] as? String)?.hasPrefix("/docs/problems#") == true)
        #expect(document["title"] is String)
        let errors = document["errors"] as? [[String: Any]] ?? []
        return Fault(
            parameter: errors.first?["parameter"] as? String,
            pointer: errors.first?["pointer"] as? String,
            detail: try #require(document["detail"] as? String),
            allowed: errors.first?["allowed"] as? [String] ?? [],
            maximum: errors.first?["maximum"] as? Int
        )
    }

    struct Fault {
        var parameter: String?
        var pointer: String?
        var detail: String
        var allowed: [String]
        var maximum: Int?
    }
}

extension InitService {
    func ask(
        _ method: HTTPRequest.Method = .get,
        _ target: String,
        _ fields: [String: String] = [:],
        body: [UInt8] = []
    ) -> Answer {
        var head = RequestHead(method: method, target: target)
        for (name, value) in fields {
            if let name = HTTPField.Name(name) { head.fields[name] = value }
        }
        let reply = respond(to: IncomingRequest(head: head, body: body))
        var answer = Answer(reply.finished())
        if case .deferred = reply { answer.wasDeferred = true }
        #expect(answer["X-Content-Type-Options"] == "nosniff")
        return answer
    }

    func post(_ target: String, _ json: String, _ fields: [String: String] = [:]) -> Answer {
        ask(.post, target, ["Content-Type": "application/json"].merging(fields) { $1 }, body: Array(json.utf8))
    }
}

extension Reply {
    /// The response after all deferred work has run.
    func finished() -> OutgoingResponse {
        switch self {
        case .ready(let response): return response
        case .deferred(let work):
            #expect(work.memory >= 0)
            return work.run { false }.finished()
        }
    }
}

extension Answer {
    init(_ response: OutgoingResponse) {
        status = response.head.status.code
        fields = response.head.fields
        switch response.body {
        case .empty:
            statedLength = 0
        case .bytes(let bytes):
            body = bytes
            statedLength = bytes.count
        case .source(let source, let range):
            #expect(!range.isEmpty)
            body = source.bytes(in: range)
            statedLength = range.count
        case .stream(let stream):
            body = stream.collected(piece: 1009) ?? []
        case .unsent(let byteCount):
            statedLength = byteCount
        }
    }
}

extension ByteSource {
    /// Reads in pieces of an odd size, so that pieces end within elements.
    fileprivate func bytes(in range: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1009)
        while bytes.count < range.count {
            var span = buffer.mutableSpan
            var room = span.mutableBytes
            let count = read(at: range.lowerBound + bytes.count, into: &room)
            bytes += buffer[..<min(count, range.count - bytes.count)]
        }
        return bytes
    }
}

/// A request with a fault, and the expected error.
struct Faulty: CustomTestStringConvertible, Sendable {
    var request: String
    var status: Int
    /// The parameter or the JSON pointer that the error names.
    var place: String
    var detail: String

    init(_ request: String, _ status: Int, _ place: String, _ detail: String) {
        (self.request, self.status, self.place, self.detail) = (request, status, place, detail)
    }

    var testDescription: String { String(request.prefix(100)) }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 0x10 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Percent-encodes all bytes except letters and digits.
func encoded(_ text: String) -> String {
    text.utf8.map { byte in
        let scalar = Unicode.Scalar(byte)
        return scalar.properties.isAlphabetic && scalar.isASCII || byte >= 0x30 && byte <= 0x39
            ? String(scalar) : (byte < 0x10 ? "%0" : "%") + String(byte, radix: 16)
    }.joined()
}
