import HTTPExchange
import HTTPTypes
import InitAPI
import InitService
import Testing
import WeightInit

@Suite("Work that takes longer than a moment is deferred")
struct DeferralTests {
    static let stack = #""layer":{"type":"LSTM","input_size":1,"hidden_size":1,"num_layers":999,"bidirectional":true}"#

    let service = InitService()

    @Test(
        "A model of many tensors is planned in deferred work, in every format and for /explain",
        arguments: ["safetensors", "json", "summary", "explain"]
    )
    func models(_ form: String) throws {
        let target = "/init?request=" + encoded(#"{\#(Self.stack),"format":"\#(form)"}"#)
        let explain = "/explain?request=" + encoded("{\(Self.stack)}")
        let asked = form == "explain" ? explain : target
        let answer = service.ask(.get, asked)
        #expect(answer.status == 200 && answer.wasDeferred)
        let tag = try #require(answer["ETag"])
        let head = service.ask(.head, asked)
        #expect(head.status == 200 && head.wasDeferred && head["ETag"] == tag)
        let known = service.ask(.get, asked, ["If-None-Match": tag])
        #expect(known.status == 304 && known.wasDeferred)
    }

    @Test("A small model is answered at once")
    func small() {
        let layer = #"{"type":"LSTM","input_size":4,"hidden_size":4,"num_layers":2}"#
        let answer = service.post("/explain", #"{"layer":\#(layer)}"#)
        #expect(answer.status == 200 && !answer.wasDeferred)
    }

    @Test("A long request is parsed in deferred work", arguments: ["/gain", "/fan", "/init", "/explain", "/propagate"])
    func longRequests(_ path: String) throws {
        let padding = String(repeating: " ", count: 5000)
        let answer = service.post(path, "{\(padding)")
        #expect(answer.wasDeferred)
        #expect(try answer.fault().detail.contains("not JSON"))
        #expect(answer.status == 400)
        #expect(!service.post(path, "{").wasDeferred)
    }

    @Test("Work for a large model is done in attempts, and each attempt asks for more memory than the one before")
    func attempts() {
        let work = service.works(#"{\#(Self.stack),"format":"summary"}"#)
        #expect(work.count > 1)
        #expect(zip(work, work.dropFirst()).allSatisfy { $0.memory < $1.memory })
        #expect(zip(work, work.dropFirst()).allSatisfy { $0.cost <= $1.cost })
    }

    @Test("Deferred work states its cost, low for short work and high for long work")
    func costs() throws {
        let little = try #require(service.works(#"{"method":"orthogonal","shape":[8,8],"format":"raw"}"#).last)
        let much = try #require(service.works(#"{"method":"orthogonal","shape":[4096,4096],"format":"raw"}"#).last)
        #expect(little.cost < .milliseconds(10))
        #expect(much.cost > .seconds(1))
        let summary = try #require(service.works(#"{"method":"normal","shape":[4294967296],"format":"summary"}"#).last)
        #expect(summary.cost > .seconds(1))
    }

    @Test("Deferred work has the same limits as immediate work")
    func limits() throws {
        var limits = ServiceLimits()
        limits.tensors.maximumTensors = 5000
        let answer = InitService(limits: limits).post("/explain", "{\(Self.stack)}")
        #expect(answer.status == 413 && answer.wasDeferred)
        #expect(try answer.fault().detail.contains("more than 5000 tensors"))
    }

    @Test("Replies for large models are generated while they are sent", arguments: ["/explain", "/init"])
    func streams(_ path: String) throws {
        let response = service.response(path, "{\(Self.stack)}")
        guard case .stream = response.body else {
            Issue.record("the body is not a stream")
            return
        }
        // Plan and names of 7992 tensors.
        #expect(try #require(response.memory) > 7992 * 200)
    }

    @Test("A streamed explanation is the same JSON as an unstreamed one")
    func explanation() throws {
        let answer = service.post("/explain", "{\(Self.stack)}")
        #expect(answer.statedLength == nil)
        let tensors = try #require(try answer.json()["tensors"] as? [[String: Any]])
        #expect(tensors.count == 7992)
        #expect(tensors.last?["name"] as? String == "bias_hh_l998_reverse")
        #expect(tensors.allSatisfy { $0["method"] as? String == "uniform" })
    }
}

extension InitService {
    /// The jobs of deferred work for a `POST /init`, in order.
    fileprivate func works(_ json: String) -> [DeferredWork] {
        var works: [DeferredWork] = []
        var reply = respond(to: .posted("/init", json))
        while case .deferred(let work) = reply, works.count < 10 {
            works.append(work)
            // The last of it is not needed here.
            if work.cost > .seconds(1) { break }
            reply = work.run { false }
        }
        return works
    }

    fileprivate func response(_ path: String, _ json: String) -> OutgoingResponse {
        respond(to: .posted(path, json)).finished()
    }
}

extension IncomingRequest {
    fileprivate static func posted(_ path: String, _ json: String) -> IncomingRequest {
        var head = RequestHead(method: .post, target: path)
        head.fields[.contentType] = "application/json"
        return IncomingRequest(head: head, body: Array(json.utf8))
    }
}
