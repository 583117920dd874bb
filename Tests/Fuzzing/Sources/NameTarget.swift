import ByteSource
import ByteText
import HTTPExchange
import HTTPTypes
@testable import InitAPI
@testable import InitService
import WeightInit

/// Names and members as text. The first byte chooses the place of the text in a request, and the second how often the
/// text is repeated, up to 512 bytes. The rest is the text, split into two at the first NUL.
///
/// Every byte costs a bounded number of steps and no look-up in Unicode's tables.
enum NameTarget {
    private static let service = InitService(
        limits: .with {
            $0.tensors.maximumNameLength = 1 << 16
            $0.maximumLocationBytes = 1 << 12
        }
    )

    /// Bounds on comparisons: for a request, mostly to find the nearest of all known names, and for each of its bytes.
    private static let steps = (fixed: 1_000_000 as UInt64, perByte: 300 as UInt64)

    /// Fills tables that are made once for all requests, so that no request is charged for them.
    private static let tables: Void = {
        for kind in 0..<16 as Range<UInt8> { _ = respond(to: request(kind, "Lineal", "bias")) }
    }()

    static func run(_ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        tables
        let halves = bytes.dropFirst(2).split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let repetitions = Int(bytes[1] & 15) * Int(bytes[1] & 15) + 1
        let texts = halves.map { half in
            Text(decoding: repeatElement(Array(half), count: repetitions).joined().prefix(1 << 9).map { $0 })
        }
        let (left, right) = (texts[0], texts.count > 1 ? texts[1] : texts[0])
        let request = request(bytes[0], left, right)
        let size = request.body.count + request.head.target.utf8.count + 1
        // Header fields count, too.
        let fieldBytes = request.head.fields.reduce(0) { $0 + $1.value.utf8.count }
        let (answer, cost) = Cost.measure { respond(to: request) }
        check(
            [200, 304, 400, 404, 406, 412, 413, 415, 416, 422].contains(answer.status),
            "\(answer.status) is declared"
        )
        agree(bytes[0], left, right, answer)
        cost?.require(bytes: size + fieldBytes, steps: steps)
    }

    /// Checks that an explained list of tensors has the two given names, which must differ in their bytes.
    private static func agree(_ kind: UInt8, _ left: Text, _ right: Text, _ answer: (status: Int, body: [UInt8])) {
        guard kind & 15 == 0, answer.status == 200 else { return }
        check(left != right, "two tensors of one name are refused")
        guard case .object(let document)? = try? JSONParser.parse(answer.body),
            case .array(let tensors)? = document.first(where: { $0.name == "tensors" })?.value
        else {
            check(false, "a plan is explained in JSON")
            return
        }
        let names = tensors.compactMap { tensor -> Text? in
            guard case .object(let members) = tensor, case .string(let name)? = members.first?.value else { return nil }
            return name
        }
        check(names == [left, right], "the names are those that were given")
    }

    private static func request(_ kind: UInt8, _ left: Text, _ right: Text) -> IncomingRequest {
        let tensor: (Text) -> JSONValue = { ["name": .string($0), "method": "zeros", "shape": .array([])] }
        let layer: (Text) -> JSONValue = {
            ["name": .string($0), "type": "Linear", "in_features": .number("1"), "out_features": .number("1")]
        }
        switch kind & 15 {
        case 0: return post("/explain", ["tensors": .array([tensor(left), tensor(right)])])
        case 1: return post("/explain", ["layers": .array([layer(left)]), "tie": [right: .string(left)]])
        case 2:
            return post("/explain", ["layers": .array([layer(left)]), "slices": [right: ":1", left + ".bias": ":0"]])
        case 3:
            return post(
                "/explain",
                ["layers": .array([layer(left)]), "rules": .array([["name": .string(right), "method": "ones"]])]
            )
        case 4: return post("/explain", ["layer": ["type": .string(left), right: .null]])
        case 5: return post("/explain", ["method": .string(left), "shape": .array([]), right: .number("1")])
        case 6:
            return post(
                "/explain",
                ["method": "kaiming_normal", "mode": .string(left), "shape": "1,1", "nonlinearity": .string(right)]
            )
        case 7:
            return post(
                "/explain",
                [
                    "layers": .array([
                        ["name": .string(left), "repeat": .number("3"), "layers": .array([tensor(right)])]
                    ])
                ]
            )
        case 8: return post("/init", ["tensors": .array([tensor(left), tensor(right)]), "format": "safetensors"])
        case 9:
            return post(
                "/init",
                ["tensors": .array([tensor(left), tensor(right)]), "seeding": "per_tensor", "format": "json"]
            )
        case 10: return get("/gain", [left: right])
        case 11: return get("/explain", ["method": "normal", "shape": right, "seed": left])
        case 12: return get("/fan", ["shape": left, "layout": right])
        case 13: return get("/gain", ["nonlinearity": "relu"], fields: [.accept: left, .ifNoneMatch: right])
        case 14:
            return get(
                "/init",
                ["method": "zeros", "shape": "9", "format": "raw"],
                fields: [.range: left, .ifRange: right]
            )
        default: return get("/explain", ["method": "zeros", "shape": "3", "slice": left, right: "1"])
        }
    }

    private static func post(_ path: String, _ document: JSONValue) -> IncomingRequest {
        var head = RequestHead(method: .post, target: path)
        head.fields[.contentType] = "application/json"
        return IncomingRequest(head: head, body: document.encoded)
    }

    private static func get(
        _ path: String,
        _ query: KeyValuePairs<Text, Text>,
        fields: KeyValuePairs<HTTPField.Name, Text> = [:]
    ) -> IncomingRequest {
        let parameters = query.map { name, value in
            PercentEncoding.encodeQueryComponent(name) + "=" + PercentEncoding.encodeQueryComponent(value)
        }
        let target = path + "?" + parameters.joined(separator: "&")
        var head = RequestHead(method: .get, target: target)
        for (name, value) in fields {
            // The transport refuses fields with other characters.
            let printable = value.utf8.filter { $0 >= 0x20 && $0 != 0x7f }
            head.fields[name] = String(decoding: printable, as: UTF8.self)
        }
        return IncomingRequest(head: head)
    }

    private static func respond(to request: IncomingRequest) -> (status: Int, body: [UInt8]) {
        var reply = service.respond(to: request)
        while case .deferred(let work) = reply { reply = work.run { false } }
        guard case .ready(let response) = reply else { fatalError("neither ready nor deferred") }
        return (response.head.status.code, bytes(of: response.body))
    }

    /// The bytes of a body, without elements of tensors in a source, whose cost does not depend on names.
    private static func bytes(of body: ResponseBody) -> [UInt8] {
        switch body {
        case .bytes(let bytes): bytes
        case .stream(let stream): stream.collected() ?? []
        case .empty, .source, .unsent: []
        }
    }
}
