import ByteSource
import HTTPExchange
import HTTPTypes
import WeightInit

extension Representation {
    /// The reply to an exchange, by RFC 9110 sections 13 (conditions) and 14 (ranges).
    ///
    /// Conditions are those of `GET` and `HEAD`: no other method here selects a representation.
    ///
    /// - Throws: 412 and 416; what making a body throws.
    func reply(to exchange: Exchange) throws -> Reply {
        // An empty literal would take memory of its own.
        var head = HTTPResponse(status: .ok, headerFields: HTTPFields())
        head.headerFields.reserveCapacity(12)
        let tag = currentTag
        if let tag { head.headerFields.append(.eTag, tag.fieldValue) }
        head.headerFields.append(caching.field)
        if isNegotiated { head.headerFields.append(.varyByAccept) }
        if exchange.method == .post, let location { head.headerFields.append(.contentLocation, location) }
        if exchange.isRead, let tag, try isUnmodified(tag, exchange.fields) {
            head.status = .notModified
            return .ready(OutgoingResponse(head: head, body: .unsent(byteCount: knownByteCount)))
        }
        head.headerFields.append(.contentType, mediaType)
        head.headerFields.append(servesRanges ? .acceptByteRanges : .acceptNoRanges)
        for field in fields { head.headerFields.append(field) }
        if exchange.method == .head {
            return .ready(OutgoingResponse(head: head, body: .unsent(byteCount: try headByteCount())))
        }

        switch content {
        case .bytes(let bytes):
            return .ready(OutgoingResponse(head: head, body: .bytes(bytes)))
        case .computed(let compute):
            return try computed(head, for: exchange, compute)
        case .generated(_, let make):
            return try made(head, for: exchange, make)
        case .source(let byteCount, let make):
            let range: Range<Int>
            switch requestedRange(of: byteCount, tag, exchange) {
            case .whole:
                range = 0..<byteCount
            case .part(let part):
                range = part
                head.status = .partialContent
                head.headerFields.append(.contentRange, "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(byteCount)")
            case .unsatisfiable:
                throw Problem(
                    .rangeNotSatisfiable,
                    "the body has \(byteCount) bytes",
                    fields: [.contentRange: "bytes */\(byteCount)"]
                )
            }
            return try made(head, for: exchange) { [isLongWork = workMemory != nil] plan, _ throws(InitError) in
                guard !range.isEmpty else { return .empty }
                let source = try make(plan)
                // The source keeps what this took.
                if isLongWork { source.readFirstByte(at: range.lowerBound) }
                return .source(source, range: range)
            }
        }
    }

    private var currentTag: EntityTag? {
        if let entityTag { return entityTag }
        guard case .bytes(let bytes) = content, caching != .never else { return nil }
        return EntityTag(of: bytes)
    }

    var servesRanges: Bool {
        if case .source = content { true } else { false }
    }

    /// The length of the body; `nil` where it is known only when that has been made.
    var knownByteCount: Int? {
        switch content {
        case .bytes(let bytes): bytes.count
        case .source(let byteCount, _): byteCount
        case .computed, .generated: nil
        }
    }

    /// The length that `GET` would state, where finding it out costs next to nothing.
    private func headByteCount() throws(InitError) -> Int? {
        guard case .generated(isShort: true, let make) = content, workMemory == nil,
            let plan = try preparation?.trivial()
        else { return knownByteCount }
        return try make(plan, { false }).byteCount
    }

    /// - Throws: 412.
    private func isUnmodified(_ tag: EntityTag, _ fields: HTTPFields) throws(Problem) -> Bool {
        if let tags = fields[.ifMatch], !tag.isListed(in: tags, by: tag.matchesStrongly) {
            throw Problem(.preconditionFailed, "If-Match does not name the current entity tag, \(tag.fieldValue)")
        }
        return fields[.ifNoneMatch].map { tag.isListed(in: $0, by: tag.matchesWeakly) } ?? false
    }

    private func requestedRange(of byteCount: Int, _ tag: EntityTag?, _ exchange: Exchange) -> ByteRangeRequest {
        guard exchange.method == .get else { return .whole }
        if let condition = exchange.fields[.ifRange] {
            // A date never matches: nothing here has one.
            guard let tag, let given = EntityTag(condition.trimmed), tag.matchesStrongly(given) else { return .whole }
        }
        return ByteRangeRequest(exchange.fields[.range], byteCount: byteCount)
    }

    private func computed(
        _ head: HTTPResponse,
        for exchange: Exchange,
        _ compute: @escaping @Sendable (() -> Bool) throws(InitError) -> [UInt8]?
    ) throws(InitError) -> Reply {
        guard let workMemory else {
            return .ready(OutgoingResponse(head: head, body: .bytes(try compute { false } ?? [])))
        }
        let form = exchange.form
        return .deferred(
            DeferredWork(memory: workMemory) { isCancelled in
                do throws(InitError) {
                    guard let bytes = try compute(isCancelled) else { return .clientIsGone }
                    var response = OutgoingResponse(head: head, body: .bytes(bytes))
                    response.memory = bytes.count
                    return response
                } catch {
                    return Problem(error, form: form).response
                }
            }
        )
    }

    /// The response now or, where the body takes long work, later.
    private func made(
        _ head: HTTPResponse,
        for exchange: Exchange,
        _ make: @escaping Content.Make
    ) throws -> Reply {
        guard let preparation else {
            throw Problem(.internalError, "a body without a plan")
        }
        let ready = try preparation.ready()
        if let ready, workMemory == nil {
            return .ready(OutgoingResponse(head: head, body: try make(ready, { false })))
        }
        let memory = (ready == nil ? preparation.memory : 0) + (workMemory ?? 0)
        let form = exchange.form
        return .deferred(
            DeferredWork(memory: memory) { [workMemory] isCancelled in
                do throws(InitError) {
                    guard let share = try preparation.make(isCancelled, ready) else { return .clientIsGone }
                    var response = OutgoingResponse(head: head, body: try make(share.0, isCancelled))
                    response.memory = share.1 + (workMemory ?? 0)
                    return response
                } catch {
                    return Problem(error, form: form).response
                }
            }
        )
    }
}

extension HTTPField {
    // Made once: a field is checked, character by character, when it is made.
    fileprivate static let varyByAccept = HTTPField(name: .vary, value: "Accept")
    fileprivate static let acceptByteRanges = HTTPField(name: .acceptRanges, value: "bytes")
    fileprivate static let acceptNoRanges = HTTPField(name: .acceptRanges, value: "none")
}

extension OutgoingResponse {
    /// What nobody reads.
    fileprivate static var clientIsGone: OutgoingResponse {
        Problem(.unavailable, "the client is gone").response
    }
}

extension ByteSource {
    fileprivate func readFirstByte(at position: Int) {
        var byte: [UInt8] = [0]
        var room = byte.mutableSpan
        var bytes = room.mutableBytes
        _ = read(at: position, into: &bytes)
    }
}
