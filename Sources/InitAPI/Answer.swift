package import ByteText
package import ByteSource
internal import SHA2
package import WeightInit

/// An operation's answer, before its bytes are generated.
package struct Answer: Sendable {
    package static let json = "application/json"
    /// An answer of up to this many bytes states its length.
    static let assembledBytes = 64 << 10

    package enum Content: Sendable {
        case bytes([UInt8])
        /// A file in memory, or one that is unpacked before the first byte.
        case file(ModelFile)
        case document(JSONDocument)
        /// A document computed before the first byte; `nil` when cancelled.
        case computed(@Sendable (_ isCancelled: () -> Bool) throws(InitError) -> JSONDocument?)
        /// A body of known length that can be made from any position.
        case source(byteCount: Int, make: @Sendable (PreparedPlan) throws(InitError) -> any ByteSource)
        /// A body whose length is known only when it has been made. `isShort` if it is short enough to be made whole
        /// before it is sent. `nil` when cancelled.
        case generated(
            isShort: Bool,
            make: @Sendable (PreparedPlan, _ isCancelled: () -> Bool) throws(InitError) -> AnswerBody?
        )
    }

    /// Time for which the same request has the same answer.
    package enum Lifetime: Sendable {
        /// A pure function of the request.
        case forever
        /// Until the next release of the service.
        case release
        /// Until the catalogue of models is read again.
        case catalogue
    }

    package var content: Content
    package var mediaType: String
    package var lifetime: Lifetime
    /// `true` if `Accept` decides the media type, or whether there is an answer.
    package var isNegotiated = true
    /// `nil` stands for the identity of the bytes, which must then be in memory.
    package var identity: Identity?
    /// The canonical request as a URL, given the path of the operation.
    package var url: (@Sendable (_ path: Text) -> Text)?
    /// Work that must be done before a source or a generated body can be made.
    var preparation: PreparationTicket?
    /// Further work before the first byte.
    var work = WorkEstimate()
    /// Bytes of memory that the answer holds until its last byte, apart from ``preparation``.
    package var memory = 0
    /// Name of the file that a client may save the answer as.
    package var fileName: Text?
    /// SHA-256 of the bytes, if it is known without making them.
    package private(set) var sha256: [UInt8]?
    /// Shape and dtype, set if the bytes alone do not tell them.
    package var tensor: (shape: Shape, dtype: DType)?

    package init(_ content: Content, mediaType: String, lifetime: Lifetime) {
        self.content = content
        self.mediaType = mediaType
        self.lifetime = lifetime
    }

    /// A file of a model.
    init(_ file: ModelFile, _ lifetime: Lifetime = .forever) {
        self.init(.file(file), mediaType: file.mediaType, lifetime: lifetime)
        identity = file.identity
        sha256 = file.sha256.hexadecimalBytes
        work = file.work
        memory = file.memory
    }

    /// A short JSON object.
    init(_ members: [JSONValue.Member], _ lifetime: Lifetime, url: (@Sendable (Text) -> Text)? = nil) {
        self.init(.document(JSONDocument(members)), mediaType: Answer.json, lifetime: lifetime)
        self.url = url
    }
}

/// The bytes of an answer.
package enum AnswerBody {
    case bytes([UInt8])
    case source(any ByteSource)
    case stream(any ByteStream)
}

extension Answer {
    /// Replaces a short document by its bytes.
    package mutating func assemble() {
        guard case .document(let document) = content, let bytes = document.encoded(limit: Answer.assembledBytes) else {
            return
        }
        content = .bytes(bytes)
    }

    /// `true` if the body can be generated from any position.
    package var servesRanges: Bool {
        switch content {
        case .source, .file: true
        case .bytes, .document, .computed, .generated: false
        }
    }

    /// The length of the body in bytes; `nil` if that is known only when it has been made.
    package var byteCount: Int? {
        switch content {
        case .bytes(let bytes): bytes.count
        case .file(let file): file.byteCount
        case .source(let byteCount, _): byteCount
        case .document, .computed, .generated: nil
        }
    }

    /// The length of the body, if it is known or making the body costs almost nothing.
    package func statedByteCount(within allowance: Allowance) throws(InitError) -> Int? {
        guard case .generated(isShort: true, let make) = content, allowance.covers(work),
            let plan = try preparation?.trivial(), case .bytes(let bytes)? = try make(plan, { false })
        else { return byteCount }
        return bytes.count
    }

    /// The answer as a JSON object, after the work before its first byte; `nil` if its content is not a JSON document.
    package func document() throws(InitError) -> JSONDocument? {
        switch content {
        case .document(let document): document
        case .computed(let compute): try compute { false }
        case .bytes, .file, .source, .generated: nil
        }
    }

    /// The work left before the first byte. Preparation that another request has done is not counted.
    package var pendingWork: WorkEstimate {
        guard let preparation, !preparation.isReady else { return work }
        return preparation.estimate + work
    }

    /// `true` if the first byte takes noticeable work.
    package var takesWork: Bool {
        (preparation?.estimate.memory ?? 0) > 0 || !Allowance.immediate.covers(work)
    }

    /// The body, with all the work done that comes before its first byte.
    package func body() throws(InitError) -> AnswerBody {
        guard let (body, _) = try body(isCancelled: { false }) else {
            throw InitError(.failed, [], "the work ended without a result although nobody cancelled it")
        }
        return body
    }

    /// The body, with all the work done that comes before its first byte.
    ///
    /// - Returns: Also the bytes of memory that the body holds until its last byte. `nil` when cancelled.
    package func body(isCancelled: () -> Bool) throws(InitError) -> (body: AnswerBody, memory: Int)? {
        switch content {
        case .bytes(let bytes):
            return (.bytes(bytes), memory)
        case .file(let file):
            return (.bytes(try file.bytes()), memory)
        case .document(let document):
            return (document.body, memory)
        case .computed(let compute):
            return try compute(isCancelled).map { ($0.body, memory) }
        case .generated(_, let make):
            guard let (plan, held) = try prepared(isCancelled) else { return nil }
            return try make(plan, isCancelled).map { ($0, memory + held) }
        case .source(_, let make):
            guard let (plan, held) = try prepared(isCancelled) else { return nil }
            return (.source(try make(plan)), memory + held)
        }
    }

    private func prepared(_ isCancelled: () -> Bool) throws(InitError) -> (PreparedPlan, Int)? {
        guard let preparation else { throw InitError(.failed, [], "the body has no plan") }
        return try preparation.make(isCancelled, preparation.ready())
    }
}

extension Text {
    /// The bytes that pairs of hexadecimal digits stand for; `nil` for anything else.
    fileprivate var hexadecimalBytes: [UInt8]? {
        let digits = utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == byteCount, byteCount.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

extension AnswerBody {
    /// Block size in bytes for hashing.
    static let hashedBytes = 64 << 10

    /// The SHA-256 of the whole body; `nil` when cancelled.
    func sha256(_ isCancelled: () -> Bool) -> SHA256.Digest? {
        var hash = SHA256()
        var block = [UInt8](repeating: 0, count: Self.hashedBytes)
        switch self {
        case .bytes(let bytes):
            hash.update(data: bytes)
        case .source(let source):
            var position = 0
            while position < source.byteCount {
                guard !isCancelled() else { return nil }
                var span = block.mutableSpan
                var room = span.mutableBytes
                let count = source.read(at: position, into: &room)
                hash.update(span: block.span.bytes.extracting(first: count))
                position += count
            }
        case .stream(let stream):
            while true {
                guard !isCancelled() else { return nil }
                var span = block.mutableSpan
                var room = span.mutableBytes
                guard let count = stream.read(into: &room) else { break }
                hash.update(span: block.span.bytes.extracting(first: count))
            }
        }
        return hash.finalize()
    }
}

extension JSONDocument {
    fileprivate var body: AnswerBody {
        encoded(limit: Answer.assembledBytes).map(AnswerBody.bytes) ?? .stream(makeStream())
    }
}
