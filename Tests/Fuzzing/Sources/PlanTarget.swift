import ByteText
import ByteSource
import HTTPExchange
import HTTPTypes
@testable import InitAPI
@testable import InitService
@testable import WeightInit

/// A whole request: a byte that chooses the form of the request (two lowest bits) and a range to ask for, then a query
/// or JSON. The service has small limits. The plan, the reply and ranges of the reply have to agree.
enum PlanTarget {
    private static let service = InitService(limits: limits)

    private static let limits = ServiceLimits.with {
        $0.maximumJSONElements = 1 << 10
        $0.maximumSummaryElements = 1 << 12
        $0.maximumCountedElements = 1 << 12
        $0.maximumWorkBytes = 1 << 20
        $0.cacheBytes = 1 << 14
        $0.tensors.maximumTensorBytes = 1 << 12
        $0.tensors.maximumMatrixElements = 1 << 8
        $0.tensors.maximumRounds = 64
        $0.tensors.maximumLayers = 64
        $0.tensors.maximumTensors = 128
        $0.tensors.maximumNameBytes = 1 << 13
        $0.tensors.maximumRuleMatches = 1 << 13
    }

    /// Work, in words, above which only the plan is checked: a few blocks of a huge tensor take many jumps.
    private static let longWork = Double(1 << 16)

    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let text = bytes.dropFirst()
        let request: Request
        switch first & 3 {
        case 0:
            // The transport refuses all other bytes in a target.
            guard text.allSatisfy({ (0x21...0x7E).contains($0) }) else { return }
            request = Request(path: "?" + String(decoding: text, as: UTF8.self))
        case 1:
            request = Request(
                path: "?request=" + PercentEncoding.encodeQueryComponent(Text(decoding: text)).description
            )
        default: request = Request(path: "", body: Array(text))
        }
        guard let members = request.members, let plan = try? members.plan(limits.tensors) else {
            // Both routes refuse at the same place; the input chooses the route.
            let route = first & 4 == 0 ? "/explain" : "/init"
            check(ask(request, route).status >= 400, "a request without a plan is refused")
            return
        }
        look(at: plan, ask(request, "/explain"), members)
        guard plan.work < longWork, (plan.preparationCost?.countedElements ?? 0) < 1 << 12 else {
            return
        }
        compareSources(plan, part: Int(first >> 2))
        compareReplies(request, members, part: Int(first >> 2))
    }

    // MARK: The plan

    private static func look(at plan: Plan, _ explained: Answer, _ members: InitMembers) {
        check([200, 406].contains(explained.status), "a plan is explained: \(explained.text)")
        check(plan.byteCount <= limits.tensors.maximumTensorBytes, "the limit holds")
        check(plan.tensors.reduce(0) { $0 + $1.byteCount } == plan.byteCount, "the plan's bytes are its tensors'")
        guard explained.status == 200 else { return }
        guard case .object(let document)? = try? JSONParser.parse(explained.body) else {
            check(false, "a plan is explained in JSON")
            return
        }
        let stated = document.first { $0.name == "bytes" }?.value
        check(stated == .number(Text(plan.byteCount)), "a plan states its bytes: \(explained.text)")
        check(
            document.first { $0.name == "url" }?.value == .string(members.url("/init", members.format)),
            "and its URL"
        )
    }

    /// Checks that reading from the middle gives the same bytes as reading from the front.
    private static func compareSources(_ plan: Plan, part: Int) {
        // The service refuses work over its limits.
        guard (plan.preparationCost?.memory ?? 0) <= limits.maximumWorkBytes, let prepared = try? plan.prepared() else {
            return
        }
        for (index, tensor) in plan.tensors.enumerated().prefix(8) {
            let whole = read(prepared.makeSource(index), from: 0)
            check(whole.count == tensor.byteCount, "a source is as long as the plan says")
            guard !whole.isEmpty else { continue }
            let start = part * 131 % whole.count
            let source = prepared.makeSource(index)
            check(read(source, from: start).elementsEqual(whole[start...]), "bytes from \(start) on")
            check(read(source, from: 0) == whole, "and once more from the front")
        }
    }

    private static func read(_ source: any ByteSource, from start: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: source.byteCount - start)
        var (position, idleCalls) = (0, 0)
        while position < bytes.count {
            // Pieces of an odd size end within elements.
            let end = min(position + 1009, bytes.count)
            var span = bytes.mutableSpan
            var room = span.mutableBytes
            var piece = room._mutatingExtracting(position..<end)
            let count = source.read(at: start + position, into: &piece)
            check((0...end - position).contains(count), "a source does not write more than fits")
            position += count
            idleCalls = count == 0 ? idleCalls + 1 : 0
            check(idleCalls < 100, "a source writes something some time")
        }
        return bytes
    }

    // MARK: The replies

    private static func compareReplies(_ request: Request, _ members: InitMembers, part: Int) {
        let whole = ask(request, "/init")
        check(whole.status == 200 || whole.status >= 400, "a status that was asked for: \(whole.status)")
        guard whole.status == 200 else { return }
        let url = members.url("", members.format).description
        let canonical = ask(Request(path: url), "/init")
        check(canonical.body == whole.body && canonical.tag == whole.tag, "the canonical URL has the same: \(url)")
        let head = ask(Request(method: .head, path: url), "/init")
        check(
            head.tag == whole.tag && (head.length == nil || head.length == whole.body.count),
            "HEAD says what GET does"
        )
        let known = ask(Request(path: url, fields: [.ifNoneMatch: whole.tag]), "/init")
        check(known.status == 304, "who has it is told so")
        guard canonical.servesRanges, !whole.body.isEmpty else { return }
        let start = part * 131 % whole.body.count
        let end = min(start + part, whole.body.count - 1)
        let middle = ask(Request(path: url, fields: [.range: "bytes=\(start)-\(end)"]), "/init")
        check(
            middle.status == 206 && middle.body.elementsEqual(whole.body[start...end]),
            "bytes \(start) to \(end) of \(url)"
        )
    }

    private struct Request {
        var method = HTTPRequest.Method.get
        /// The query or the body.
        var path: String
        var fields: HeaderFields = [:]
        var body: [UInt8] = []

        init(method: HTTPRequest.Method = .get, path: String, fields: HeaderFields = [:]) {
            (self.method, self.path, self.fields) = (method, path, fields)
        }

        init(path: String, body: [UInt8]) {
            (method, self.path, self.body) = (.post, path, body)
            fields[.contentType] = "application/json"
        }

        func incoming(_ route: String) -> IncomingRequest {
            let head = RequestHead(method: method, target: route + path, fields: fields)
            return IncomingRequest(head: head, body: body)
        }

        /// The decoded members; `nil` if the service refuses them.
        var members: InitMembers? {
            let reader = MemberReader(limits: PlanTarget.limits)
            guard let target = try? RequestTarget("/init" + path), target.path == "/init",
                let place = try? reader.place(of: incoming("/init"), target),
                let members = try? reader.members(at: place)
            else { return nil }
            return try? InitMembers(members)
        }
    }

    private struct Answer {
        var status: Int
        var fields: HeaderFields
        var body: [UInt8] = []
        /// Content-Length; `nil` if the body would be sent in chunks.
        var length: Int?

        var text: String { String(decoding: body, as: UTF8.self) }
        var tag: String { fields[.eTag] ?? "" }
        var servesRanges: Bool { fields[.acceptRanges] == "bytes" }
    }

    /// Statuses that openapi.yaml declares for these routes; a 500 would be a fault of the service.
    private static let declared: Set = [200, 206, 304, 400, 404, 406, 412, 413, 415, 416, 422, 503]

    private static func ask(_ request: Request, _ route: String) -> Answer {
        var reply = service.respond(to: request.incoming(route))
        while case .deferred(let work) = reply { reply = work.run { false } }
        guard case .ready(let response) = reply else { fatalError("neither ready nor deferred") }
        var answer = Answer(status: response.head.status.code, fields: response.head.fields)
        check(declared.contains(answer.status), "\(answer.status) is declared")
        switch response.body {
        case .empty: answer.length = 0
        case .bytes(let bytes): (answer.body, answer.length) = (bytes, bytes.count)
        case .unsent(let count): answer.length = count
        case .stream(let stream): answer.body = stream.collected(piece: 1009) ?? []
        case .source(let source, let range):
            answer.length = range.count
            answer.body = Array(read(source, from: range.lowerBound).prefix(range.count))
        }
        if answer.status >= 400, request.method != .head {
            check(answer.fields[.contentType] == "application/problem+json", "a refusal is a problem document")
        }
        return answer
    }
}
