package import HTTPExchange
import HTTPTypes
package import WeightInit

/// What can be asked without HTTP around it. Members, decoder and answers are those of the routes of the same names.
package enum Question: Sendable {
    case gain
    case fan
    case initialize
    case explain

    fileprivate func respond(_ service: InitService, _ exchange: Exchange) throws -> Representation {
        switch self {
        case .gain: try GainRoute.respond(service, exchange)
        case .fan: try FanRoute.respond(service, exchange)
        case .initialize: try InitRoute.respond(service, exchange)
        case .explain: try ExplainRoute.respond(service, exchange)
        }
    }
}

extension InitService {
    /// Answers a question.
    ///
    /// - Parameters:
    ///   - members: Names and values as a query holds them, decoded.
    ///   - document: A request in JSON. Members of it that `members` name as well are left out.
    /// - Throws: what the routes refuse; the error's path starts at a member.
    package func answer(
        _ question: Question,
        _ members: [(name: String, text: String)],
        document: [UInt8]? = nil
    ) throws(InitError) -> Answer {
        var given = RequestMembers(members.map { RequestTarget.Parameter(name: $0.name, value: $0.text) })
        if let document {
            // Who brings a document has it in memory already: its values are not counted again.
            var request = try MemberReader(limits: limits).members(at: .body(document), JSONLimits(values: .max))
            request.given.removeAll { member in given.value(of: member.name) != nil }
            given.given += request.given
        }
        let exchange = Exchange(method: .get, fields: [:], path: "", members: given, form: .query)
        do {
            return Answer(try question.respond(self, exchange))
        } catch let error as InitError {
            throw error
        } catch let problem as Problem {
            throw InitError(problem)
        } catch {
            throw InitError(.refused, [], "an unforeseen error")
        }
    }
}

/// What a question comes to.
package struct Answer: Sendable {
    fileprivate let representation: Representation

    fileprivate init(_ representation: Representation) {
        self.representation = representation
    }

    package var mediaType: String { representation.mediaType }

    /// Length of the body in bytes; `nil` where that is known only when it has been made.
    package var byteCount: Int? { representation.knownByteCount }

    /// Whether the body can be made from any byte on.
    package var servesRanges: Bool { representation.servesRanges }

    /// Whether there is more than next to nothing to do before the first byte.
    package var takesWork: Bool {
        representation.workMemory != nil || (representation.preparation?.memory ?? 0) > 0
    }

    /// The body, with all the work done that comes before its first byte.
    package func body() throws(InitError) -> ResponseBody {
        switch representation.content {
        case .bytes(let bytes): .bytes(bytes)
        case .computed(let compute): .bytes(try compute { false } ?? [])
        case .generated(_, let make): try make(try prepared(), { false })
        case .source(let byteCount, let make):
            byteCount == 0 ? .empty : .source(try make(try prepared()), range: 0..<byteCount)
        }
    }

    private func prepared() throws(InitError) -> PreparedPlan {
        guard let preparation = representation.preparation,
            let (plan, _) = try preparation.make({ false }, preparation.ready())
        else { throw InitError(.refused, [], "a body without a plan") }
        return plan
    }
}

extension InitError {
    /// A problem that no plan has, but a representation: a format that cannot hold what is asked for.
    fileprivate init(_ problem: Problem) {
        let fault = problem.faults.first
        var path: [String] = []
        if case .parameter(let name)? = fault?.place { path = [name] }
        self.init(.refused, path, fault?.detail ?? problem.detail, allowed: fault?.allowed ?? [])
    }
}
