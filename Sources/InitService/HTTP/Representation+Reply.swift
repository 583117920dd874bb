internal import ByteText
import ByteSource
import HTTPExchange
import HTTPTypes
import InitAPI
import SHA2
import WeightInit

extension Representation {
    /// The response to a request, by RFC 9110 sections 13 (conditions) and 14 (ranges).
    ///
    /// Conditions apply to `GET` and `HEAD` only: no other method here selects a representation.
    ///
    /// - Throws: 412 and 416; the problem of an error while the body is made.
    func respond(to request: RouteRequest) throws(Problem) -> RouteOutcome {
        var head = ResponseHead(status: .ok, fields: HeaderFields())
        head.fields.reserveCapacity(12)
        let tag = currentTag
        if let tag { head.fields.append(.eTag, tag.fieldValue) }
        head.fields.append(caching.field)
        if isNegotiated { head.fields.append(.varyByAccept) }
        if let location = location(for: request) { head.fields.append(.contentLocation, location) }
        if request.isRead, let tag, try isUnmodified(tag, request.fields) {
            head.status = .notModified
            return .response(OutgoingResponse(head: head, body: .unsent(byteCount: answer.byteCount)))
        }
        head.fields.append(.contentType, answer.mediaType)
        head.fields.append(answer.servesRanges ? .acceptByteRanges : .acceptNoRanges)
        addFields(to: &head.fields)
        if let field = knownDigest(tag, request) { head.fields.append(field) }
        if request.method == .head {
            let byteCount = try request.form.refusing { () throws(InitError) in
                try answer.statedByteCount(within: request.allowance)
            }
            return .response(OutgoingResponse(head: head, body: .unsent(byteCount: byteCount)))
        }
        var range: Range<Int>?
        if answer.servesRanges, let byteCount = answer.byteCount {
            switch requestedRange(of: byteCount, tag, request) {
            case .whole:
                break
            case .part(let part):
                range = part
                head.status = .partialContent
                head.fields.append(.contentRange, "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(byteCount)")
            case .unsatisfiable:
                throw Problem(
                    .rangeNotSatisfiable,
                    "the body has \(byteCount) bytes",
                    fields: [.contentRange: "bytes */\(byteCount)"]
                )
            }
        }
        return try respond(head, range, tag, request.rest, within: request.allowance)
    }

    /// The response with its body, if the allowance is enough for the work before the first byte.
    private func respond(
        _ head: ResponseHead,
        _ range: Range<Int>?,
        _ tag: EntityTag?,
        _ request: RouteRequest.Rest,
        within allowance: Allowance
    ) throws(Problem) -> RouteOutcome {
        try request.form.refusing { () throws(InitError) in
            let work = answer.pendingWork
            guard allowance.covers(work) else {
                return .exceeds(allowance.working(work), goOn: continuation(head, range, tag, request))
            }
            guard let (body, memory) = try answer.body(isCancelled: allowance.isCancelled) else {
                return .response(.clientIsGone)
            }
            var response = OutgoingResponse(head: head, body: ResponseBody(body, range))
            response.memory = memory
            response.isCacheable = caching.isLong
            if let digests = request.digests, let tag, range == nil,
                head.fields[HeaderFields.Further.reprDigest] == nil
            {
                response.keepDigest(of: tag, in: digests)
            }
            return .response(response)
        }
    }

    /// Makes the response later, from where the work begins; `nil` if too much memory, which nothing counts, would be
    /// held until then: the answer has the decoded request as well as its plan.
    private func continuation(
        _ head: ResponseHead,
        _ range: Range<Int>?,
        _ tag: EntityTag?,
        _ request: RouteRequest.Rest
    ) -> (@Sendable (Allowance) throws(Problem) -> RouteOutcome)? {
        guard answer.memory.addingClamped(request.byteCount) <= Self.uncountedMemory else { return nil }
        return { allowance throws(Problem) in try respond(head, range, tag, request, within: allowance) }
    }

    /// Bytes of a request and of its answer that may be held while the request waits for work: those of one tensor.
    private static let uncountedMemory = 4 << 10

    /// The digest of the whole body, if the client wants it and it is known without making the body.
    private func knownDigest(_ tag: EntityTag?, _ request: RouteRequest) -> HTTPField? {
        guard let digests = request.digests else { return nil }
        if let sha256 = answer.sha256 { return RepresentationDigest.field(sha256) }
        return tag.flatMap { digests[$0] }.flatMap(RepresentationDigest.field)
    }

    private var currentTag: EntityTag? {
        if let identity = answer.identity { return EntityTag(of: identity) }
        guard case .bytes(let bytes) = answer.content, caching != .never else { return nil }
        return EntityTag(of: Identity(of: bytes))
    }

    /// The canonical URL, for replies to `POST` only, because building it takes time; `nil` if it is too long.
    private func location(for request: RouteRequest) -> String? {
        guard request.method == .post, let location = answer.url?(request.path) else { return nil }
        let whole = (request.prefix?.text ?? "") + location
        return whole.byteCount <= request.longestLocation ? whole.description : nil
    }

    /// - Throws: 412.
    private func isUnmodified(_ tag: EntityTag, _ fields: HeaderFields) throws(Problem) -> Bool {
        if let tags = fields.text(.ifMatch), !tag.isListed(in: tags, by: tag.matchesStrongly) {
            throw Problem(.preconditionFailed, "If-Match does not name the current entity tag, \(tag.fieldValue)")
        }
        return fields.text(.ifNoneMatch).map { tag.isListed(in: $0, by: tag.matchesWeakly) } ?? false
    }

    private func requestedRange(of byteCount: Int, _ tag: EntityTag?, _ request: RouteRequest) -> ByteRangeRequest {
        guard request.method == .get else { return .whole }
        if let condition = request.fields.text(.ifRange) {
            // A date never matches: no representation here has a `Last-Modified`.
            guard let tag, let given = EntityTag(condition.trimmed), tag.matchesStrongly(given) else { return .whole }
        }
        return ByteRangeRequest(request.fields.text(.range), byteCount: byteCount)
    }
}

extension HTTPField {
    // Made once: a field is checked, character by character, when it is made.
    fileprivate static let varyByAccept = HTTPField(name: .vary, value: "Accept")
    fileprivate static let acceptByteRanges = HTTPField(name: .acceptRanges, value: "bytes")
    fileprivate static let acceptNoRanges = HTTPField(name: .acceptRanges, value: "none")
}

extension ResponseBody {
    fileprivate init(_ body: AnswerBody, _ range: Range<Int>?) {
        switch body {
        case .bytes(let bytes):
            let part = range.map { Array(bytes[$0]) } ?? bytes
            self = part.isEmpty ? .empty : .bytes(part)
        case .source(let source):
            let range = range ?? 0..<source.byteCount
            self = range.isEmpty ? .empty : .source(source, range: range)
        case .stream(let stream):
            self = .stream(stream)
        }
    }
}

extension OutgoingResponse {
    /// Stores the digest of the body when all of the body has been made. If the bytes are in memory already, the
    /// response gets the digest, too.
    fileprivate mutating func keepDigest(of tag: EntityTag, in digests: RepresentationDigests) {
        func keep(_ bytes: [UInt8]) {
            let digest = SHA256.hash(data: bytes)
            digests.keep(digest, tag)
            if let field = RepresentationDigest.field(digest) { head.fields.append(field) }
        }
        switch body {
        case .empty:
            keep([])
        case .bytes(let bytes):
            keep(bytes)
        case .source(let source, let range):
            body = .source(HashedSource(source) { digests.keep($0, tag) }, range: range)
        case .stream(let stream):
            body = .stream(HashedStream(stream) { digests.keep($0, tag) })
        case .unsent:
            break
        }
    }

    /// The response for a client that is gone; nobody reads it.
    fileprivate static var clientIsGone: OutgoingResponse {
        Problem(.unavailable, "the client is gone").response(below: nil)
    }
}
