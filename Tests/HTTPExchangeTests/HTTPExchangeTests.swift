import HTTPExchange
import HTTPTypes
import Testing

@Suite struct HTTPExchangeValues {
    @Test func `a request has no body and no peer unless given`() {
        let request = IncomingRequest(head: HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/%00"))
        #expect(request.body.isEmpty)
        #expect(request.peer == nil)
        #expect(request.head.path == "/%00")
    }

    @Test func `a response has no body unless given`() {
        guard case .empty = OutgoingResponse(head: HTTPResponse(status: .noContent)).body else {
            Issue.record("not empty")
            return
        }
    }

    @Test func `deferred work hears of its cancellation while it runs`() {
        let work = DeferredWork(memory: 7) { isCancelled in
            OutgoingResponse(head: HTTPResponse(status: isCancelled() ? .gone : .ok))
        }
        #expect(work.memory == 7)
        #expect(work.run { true }.head.status == .gone)
        #expect(work.run { false }.head.status == .ok)
    }

    @Test func `refusals are told apart by what they say`() {
        #expect(Refusal.bodyTooLarge(limit: 1) != .bodyTooLarge(limit: 2))
        #expect(Refusal.malformed("a") == .malformed("a"))
        #expect(Refusal.timedOut != .saturated(.workQueue, retryAfterSeconds: 1))
    }
}
