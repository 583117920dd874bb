import CHTTPDaemon
import Glibc
import HTTPExchange
import HTTPTypes

/// One request and its response.
///
/// Used only by the thread that serves its connection. Other threads reach a deferred job through the pool.
///
///     started ──► receiving ──► answered
///        │            ├──────► suspended ──► answered
///        │            ▼                         ▲
///        ├──────► discarding ───────────────────┤
///        └─ refused at once, connection closed ─┘
///
/// A job may find that another job has to follow: then the exchange is suspended again.
final class Exchange {
    private enum State {
        /// The request line has arrived, the fields have not.
        case started
        case receiving(ReceivedBody)
        /// Refused, but the library takes an answer only after the whole body.
        case discarding(Refusal, dropped: Int)
        case suspended(DeferredJob)
        case answered
    }

    private static let headToCome = RequestHead(method: .get, target: "")

    private let service: Service
    private let connection: Connection
    private let target: String
    private var head = Exchange.headToCome
    private var state = State.started
    /// Counts the memory of the request's body until the exchange is over.
    private var body: ReceivedBody?
    private var isHTTP11 = true
    private var note: ResponseNote?
    private var sent: SentBody?
    /// The body of a job's response, which holds memory until it has been sent. Released by `service.freeing`.
    private var held: Unmanaged<HeldBody>?
    private var sendsHeldBody = true
    /// Cache key of the reply, if it can be cached.
    private var replyKey: [UInt8]?
    /// The kept reply that is being sent.
    private var repetition: Connection.Repetition?

    /// - Parameter replyKey: Cache key, if the reply is worth keeping.
    init(service: Service, connection: Connection, replyKey: [UInt8]?) {
        self.service = service
        self.connection = connection
        self.replyKey = replyKey
        target = String(decoding: connection.target, as: UTF8.self)
    }

    deinit {
        giveUpBody()
    }

    private func giveUpBody() {
        guard let held else { return }
        self.held = nil
        service.freeing.release(held, memory: held._withUnsafeGuaranteedRef(\.byteCount))
    }

    /// Continues the exchange: the library has part of the request, has reached its end, or has resumed the exchange.
    ///
    /// - Returns: False cuts the connection.
    func proceed(
        on handle: OpaquePointer,
        method: UnsafePointer<CChar>,
        version: UnsafePointer<CChar>,
        bytes: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        switch state {
        case .started:
            return takeHead(on: handle, method: method, version: version)
        case .receiving(let body):
            return bytes.isEmpty ? takeRequest(body, on: handle) : takeBody(body, bytes)
        case .discarding(let refusal, let dropped):
            guard !bytes.isEmpty else {
                return answer(service.handler.refuse(refusal, head: head), on: handle)
            }
            state = .discarding(refusal, dropped: dropped + bytes.count)
            return dropped + bytes.count <= service.configuration.drainLimit
        case .suspended(let job):
            let goesOn = takeOutcome(of: job, on: handle)
            // Only now, because the call above has released its own references.
            if !sendsHeldBody { giveUpBody() }
            return goesOn
        case .answered:
            return true
        }
    }

    /// Describes the exchange in `end`.
    func complete(_ end: inout ExchangeEnd) {
        end.method = head.method
        end.fields = head.fields
        end.note = note
        end.bodyByteCount = sent?.byteCount ?? 0
        repetition?.complete(&end)
    }

    // MARK: Receiving

    /// Reads the head. An answer to the head alone drops the body and closes the connection, so it is only for a
    /// request whose end cannot be trusted or whose body would be refused.
    private func takeHead(
        on handle: OpaquePointer,
        method: UnsafePointer<CChar>,
        version: UnsafePointer<CChar>
    ) -> Bool {
        let isHTTP10 = strcmp(version, "HTTP/1.0") == 0
        isHTTP11 = strcmp(version, "HTTP/1.1") == 0
        var reader = HeadReader(isHTTP10: isHTTP10)
        withUnsafeMutablePointer(to: &reader) { reader in
            // The pointer lives as long as this call.
            c_httpd_visit_fields(
                handle,
                { context, name, nameSize, value, valueSize in
                    context.assumingMemoryBound(to: HeadReader.self).pointee.take(
                        name: Exchange.buffer(name, nameSize),
                        value: Exchange.buffer(value, valueSize)
                    )
                },
                reader
            )
        }
        reader.finish()

        let token = HTTPRequest.Method(String(cString: method))
        head = RequestHead(
            method: token ?? .get,
            target: target,
            authority: reader.host,
            fields: reader.fields
        )
        var refusal = reader.refusal
        if token == nil {
            refusal = .malformed("the method is not a token")
        } else if target.isEmpty || !connection.target.allSatisfy({ (0x21...0x7E).contains($0) }) {
            refusal = .malformed("the request target has characters that must be percent-encoded")
        } else if !c_httpd_head_is_exact(handle, method, version, connection.target.count) {
            refusal = .malformed("the head has a NUL, a folded line, or a line that does not end in CR LF")
        }
        if let refusal {
            return answer(service.handler.refuse(refusal, head: head), on: handle, closes: true)
        }

        // The same head can come with another body.
        if reader.isChunked { replyKey = nil }
        // The library would send 100 Continue for a body that is empty, and then take no answer if more bytes have
        // arrived.
        if reader.expectsContinue, !reader.isChunked, reader.contentLength ?? 0 == 0 {
            // Kept replies answer the end of a request, not its head.
            replyKey = nil
            return takeRequest(emptyBody, on: handle)
        }
        let limit = service.configuration.bodyLimit
        if let length = reader.contentLength, length > limit {
            let refusal = Refusal.bodyTooLarge(limit: limit)
            // A client that does not wait for 100 Continue is already sending its body. If the connection closed before
            // the end of the body, the client would see a reset instead of the answer.
            if reader.expectsContinue || length > service.configuration.drainLimit {
                return answer(service.handler.refuse(refusal, head: head), on: handle, closes: true)
            }
            state = .discarding(refusal, dropped: 0)
        } else {
            connection.beginBody()
            state = .receiving(emptyBody)
        }
        return true
    }

    private var emptyBody: ReceivedBody {
        ReceivedBody(in: service.uploadMemory, limit: service.configuration.bodyLimit)
    }

    private func takeBody(_ body: ReceivedBody, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        // The answer does not depend on the head alone.
        replyKey = nil
        if body.count + bytes.count > service.configuration.bodyLimit {
            state = .discarding(.bodyTooLarge(limit: service.configuration.bodyLimit), dropped: 0)
        } else if connection.due < .now + Service.grace {
            state = .discarding(.timedOut, dropped: 0)
        } else if !body.append(bytes) {
            state = .discarding(saturated(.uploadMemory), dropped: 0)
        } else {
            connection.receivedBody(body.count, atLeast: service.configuration.minimumReceiveRate)
        }
        return true
    }

    private func takeRequest(_ body: ReceivedBody, on handle: OpaquePointer) -> Bool {
        guard connection.receivedWhole() else { return false }
        self.body = body
        guard let bytes = body.takeBytes() else { return answer(refusal(.uploadMemory), on: handle) }
        switch service.handler.respond(to: IncomingRequest(head: head, body: bytes, peer: connection.peer)) {
        case .ready(let response):
            return answer(response, on: handle)
        case .deferred(let work):
            return suspend(handle, for: work)
        }
    }

    private func suspend(_ handle: OpaquePointer, for work: DeferredWork) -> Bool {
        let job = DeferredJob(work, connection: handle)
        state = .suspended(job)
        note = work.note
        // Suspended first: the job may be settled, and the connection resumed, before submit returns.
        c_httpd_suspend(handle)
        service.pool.submit(job)
        return true
    }

    private static func buffer(_ bytes: UnsafePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(
            start: bytes.map { UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) },
            count: bytes == nil ? 0 : count
        )
    }

    // MARK: Answering

    private func takeOutcome(of job: DeferredJob, on handle: OpaquePointer) -> Bool {
        switch service.pool.takeOutcome(of: job) {
        case nil:
            return true
        case .clientGone:
            return false
        case .saturated(let saturation):
            return answer(refusal(saturation), on: handle)
        case .tooLarge(let need, let limit):
            return answer(service.handler.refuse(.workTooLarge(need: need, limit: limit), head: head), on: handle)
        case .finished(.ready(let response), let hold):
            let held = HeldBody(response.body, hold)
            self.held = .passRetained(held)
            return answer(response, on: handle, held: held)
        case .finished(.deferred(let work), _):
            return suspend(handle, for: work)
        }
    }

    private func answer(
        _ response: OutgoingResponse,
        on handle: OpaquePointer,
        closes: Bool = false,
        held: HeldBody? = nil
    ) -> Bool {
        guard connection.receivedWhole() else { return false }
        state = .answered
        if let replyKey, !service.isQuiescing,
            let reply = KeptReply(response, to: head, key: replyKey, memory: service.replies.memory),
            service.replies.keep(reply), let repetition = reply.lend()
        {
            self.repetition = repetition
            return repetition.handle.queue(on: handle)
        }
        // The request's body is no longer needed. A job's own memory includes the parts of the request that its
        // response holds.
        body = nil
        func queue(_ response: OutgoingResponse, _ held: HeldBody? = nil) -> OutgoingResponse.Queueing {
            note = response.note
            let sending = Sending(
                service: service,
                connection: connection,
                isHead: head.method == .head,
                isHTTP11: isHTTP11,
                closes: closes || service.isQuiescing,
                held: held
            )
            return response.queue(on: handle, sending)
        }
        var outcome = queue(response, held)
        if case .queued(.whole(0)) = outcome { sendsHeldBody = false }
        if case .noMemory = outcome {
            sendsHeldBody = false
            outcome = queue(refusal(.bodyMemory))
        }
        if case .refused = outcome {
            service.configuration.log("a response could not be sent as it was: \(response.note)", true)
            var internalError = OutgoingResponse.internalError
            internalError.note = response.note
            outcome = queue(internalError)
        }
        guard case .queued(let body) = outcome else { return false }
        sent = body
        return true
    }

    private func refusal(_ saturation: Saturation) -> OutgoingResponse {
        service.handler.refuse(saturated(saturation), head: head)
    }

    private func saturated(_ saturation: Saturation) -> Refusal {
        .saturated(saturation, retryAfterSeconds: service.configuration.deferred.retryAfterSeconds)
    }
}
