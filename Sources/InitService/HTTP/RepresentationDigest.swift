internal import ByteText
import ByteSource
import HTTPExchange
import HTTPTypes
import InitAPI
import SHA2
import Synchronization

/// The headers of RFC 9530 with which a client can check a whole representation, even if it came in several ranges.
enum RepresentationDigest {
    /// `true` if `Want-Repr-Digest` asks for SHA-256, the only algorithm here, or the member `digest` does.
    static func isWanted(by fields: HeaderFields, _ members: RequestMembers) -> Bool {
        if members.wantsDigest { return true }
        guard let wanted = fields.text(HeaderFields.Further.wantReprDigest) else { return false }
        var preference: Text?
        // In a structured field, the last of several members with one name counts.
        for member in FieldList.elements(of: wanted) {
            if let weight = member.removing(prefix: "sha-256=") { preference = weight }
        }
        return preference.flatMap { Int($0.description) }.map((1...10).contains) ?? false
    }

    static func field(_ digest: some Sequence<UInt8>) -> HTTPField? {
        HeaderFields.Further.reprDigest.map { HTTPField(name: $0, value: "sha-256=:\(Base64.text(of: digest)):") }
    }
}

/// SHA-256 of the representations that a client wanted to check, by entity tag. The number of digests is bounded: the
/// least recently used one is dropped first.
final class RepresentationDigests: Sendable {
    /// Few enough to search for the oldest one. A digest with its tag takes about 200 bytes.
    static let maximumCount = 4096

    private struct Entry {
        let digest: SHA256.Digest
        var lastUse: UInt64
    }

    private struct State {
        var entries: [Text: Entry] = [:]
        /// Counts uses.
        var clock: UInt64 = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int = maximumCount) {
        self.limit = limit
    }

    subscript(tag: EntityTag) -> SHA256.Digest? {
        state.withLock { state in
            state.clock += 1
            state.entries[tag.opaque]?.lastUse = state.clock
            return state.entries[tag.opaque]?.digest
        }
    }

    func keep(_ digest: SHA256.Digest, _ tag: EntityTag) {
        state.withLock { state in
            state.clock += 1
            if state.entries[tag.opaque] == nil, state.entries.count >= limit,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
            }
            state.entries[tag.opaque] = Entry(digest: digest, lastUse: state.clock)
        }
    }
}

/// A source whose bytes are hashed as they are made, provided that they are made in order.
final class HashedSource: ByteSource {
    private let source: any ByteSource
    private let finish: (SHA256.Digest) -> Void
    private var hash = SHA256()
    /// Bytes at the front of the body that have been hashed.
    private var hashedCount = 0

    /// - Parameter finish: Gets the digest of the whole body.
    init(_ source: any ByteSource, finish: @escaping (SHA256.Digest) -> Void) {
        self.source = source
        self.finish = finish
    }

    var byteCount: Int { source.byteCount }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let count = source.read(at: position, into: &destination)
        guard position == hashedCount, count > 0 else { return count }
        hash.update(span: destination.bytes.extracting(0..<count))
        hashedCount += count
        if hashedCount == byteCount { finish(hash.finalize()) }
        return count
    }
}

/// A stream whose bytes are hashed as they are made.
final class HashedStream: ByteStream {
    private let stream: any ByteStream
    private let finish: (SHA256.Digest) -> Void
    private var hash = SHA256()

    /// - Parameter finish: Gets the digest of the whole body.
    init(_ stream: any ByteStream, finish: @escaping (SHA256.Digest) -> Void) {
        self.stream = stream
        self.finish = finish
    }

    func read(into destination: inout MutableRawSpan) -> Int? {
        guard let count = stream.read(into: &destination) else {
            finish(hash.finalize())
            return nil
        }
        hash.update(span: destination.bytes.extracting(0..<count))
        return count
    }
}
