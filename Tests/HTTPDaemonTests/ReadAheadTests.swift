import ByteSource
import Glibc
import HTTPExchange
import Synchronization
import TestSupport
import Testing

@testable import HTTPDaemon

/// A `Pattern` that other threads may read too, and that tells which have.
private final class Shared: ByteSource {
    let byteCount: Int
    private let pauses: Bool
    private let log: ReadLog
    private let pattern: Pattern

    init(byteCount: Int, pauses: Bool, log: ReadLog) {
        self.byteCount = byteCount
        self.pauses = pauses
        self.log = log
        pattern = Pattern(byteCount: byteCount, piece: pauses ? 4099 : .max, pauses: pauses)
        log.sourceMade()
    }

    deinit { log.sourceGone() }

    func makeTwin() -> (any ByteSource)? { Shared(byteCount: byteCount, pauses: pauses, log: log) }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        log.read(by: pthread_self())
        return pattern.read(at: position, into: &destination)
    }
}

private final class ReadLog: Sendable {
    private let state = Mutex((threads: Set<UInt>(), alive: 0))

    var threadCount: Int { state.withLock { $0.threads.count } }
    var alive: Int { state.withLock { $0.alive } }

    func read(by thread: pthread_t) { state.withLock { _ = $0.threads.insert(UInt(thread)) } }
    func sourceMade() { state.withLock { $0.alive += 1 } }
    func sourceGone() { state.withLock { $0.alive -= 1 } }
}

@Suite("Blocks made ahead by other threads")
struct ReadAheadTests {
    private static func serving(_ log: ReadLog, byteCount: Int, range: Range<Int>, pauses: Bool) -> Stub {
        Stub([
            "/x": { _ in
                .ready(.ok(.source(Shared(byteCount: byteCount, pauses: pauses, log: log), range: range)))
            }
        ])
    }

    @Test(arguments: [2, 3, 8], [false, true])
    func `are the body's, in order`(_ threads: Int, _ pauses: Bool) throws {
        let log = ReadLog()
        let range = 777..<3_000_001
        let stub = Self.serving(log, byteCount: 4_000_000, range: range, pauses: pauses)
        try withDaemon(stub, { ($0.threadsPerBody, $0.blockSize) = (threads, 64 << 10) }) { daemon in
            // On a busy machine the others may not have their turn at once.
            for round in 0..<100 where round < 3 || log.threadCount == 1 {
                let client = try RawClient(port: daemon.port)
                client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.readResponse().body == Pattern.bytes(range))
                #expect(try client.readResponse().text == "/y")
            }
        }
        #expect(log.threadCount > 1)
        #expect(log.alive == 0)
    }

    @Test func `go with the client, and give their memory back`() throws {
        let log = ReadLog()
        let stub = Self.serving(log, byteCount: 1 << 40, range: 0..<1 << 40, pauses: false)
        try withDaemon(stub, { ($0.threadsPerBody, $0.blockSize, $0.bodyMemory) = (4, 64 << 10, 64 << 20) }) { daemon in
            for _ in 0..<20 {
                let client = try RawClient(port: daemon.port)
                client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.readHead().status == 200)
            }
            #expect(eventually { log.alive == 0 && daemon.activeExchanges == 0 })
        }
    }

    @Test func `come to no more than the memory for bodies`() throws {
        let memory = BodyMemory(
            limit: 400 << 10,
            blockSize: 64 << 10,
            connectionLimit: 1,
            readAheadPool: ReadAheadPool(threadCount: 8)
        )
        let log = ReadLog()
        let block = try #require(memory.take(byteCount: 1 << 20))
        let source = memory.readAhead(Shared(byteCount: 1 << 20, pauses: false, log: log), 0..<1 << 20, block: block)
        #expect(source is ReadAheadSource)
        // Sixteen were wanted.
        #expect((1...5).contains(log.alive - 1))
        let rest = try #require(memory.take(byteCount: 1 << 20))
        #expect(rest.size < 64 << 10)
    }

    @Test func `nobody who helps is missed`() throws {
        // No thread of the pool runs: the reader makes all of it, from any position on.
        let pool = ReadAheadPool(threadCount: 2)
        defer { pool.stop() }
        let memory = BodyMemory(limit: 1 << 30, blockSize: 64 << 10, connectionLimit: 1, readAheadPool: pool)
        let log = ReadLog()
        let block = try #require(memory.take(byteCount: 1 << 20))
        let source = memory.readAhead(Shared(byteCount: 1 << 20, pauses: true, log: log), 0..<1 << 20, block: block)
        for start in [0, 300_000, 100, 1 << 20 - 70_000] {
            var bytes: [UInt8] = []
            while bytes.count < 70_000 {
                var buffer = [UInt8](repeating: 0, count: 70_000 - bytes.count)
                var storage = buffer.mutableSpan
                var span = storage.mutableBytes
                let count = source.read(at: start + bytes.count, into: &span)
                bytes += buffer.prefix(count)
            }
            #expect(bytes == Pattern.bytes(start..<start + 70_000))
        }
    }
}
