import ByteText
import HTTPExchange
import HTTPTypes
@testable import InitAPI
@testable import InitService
@testable import WeightInit

/// A request target: its parts, the members of its query, and the canonical URL of these members.
enum QueryTarget {
    static func run(_ bytes: [UInt8]) {
        guard let members = Members(target: String(decoding: bytes, as: UTF8.self)) else { return }
        guard let again = Members(target: members.url.description) else {
            check(false, "a canonical URL is understood: \(members.url)")
            return
        }
        check(again.url == members.url, "a canonical URL stays what it is: \(members.url) is not \(again.url)")
    }

    /// Result of a target; `nil` if it is refused as a client's mistake.
    private struct Members {
        var url: Text

        init?(target: String) {
            do {
                let parsed = try RequestTarget(target)
                let reader = MemberReader(limits: ServiceLimits())
                let head = RequestHead(method: .get, target: target)
                let members = try reader.members(at: reader.place(of: IncomingRequest(head: head), parsed))
                switch parsed.path {
                case "/gain":
                    url = try CanonicalRequest(members.decode(by: GainQuestion.table)).url("/gain")
                case "/fan":
                    url = try CanonicalRequest(members.decode(by: FanQuestion.table)).url("/fan")
                default:
                    let decoded = try InitMembers(members)
                    url = decoded.url("/init", decoded.format)
                }
            } catch let problem as Problem {
                check([400, 413, 415].contains(problem.kind.status.code), "\(problem)")
                return nil
            } catch let error as InitError {
                check([.invalid, .tooLarge].contains(error.kind), "\(error)")
                return nil
            } catch {
                check(false, "unforeseen: \(error)")
                return nil
            }
        }
    }
}
