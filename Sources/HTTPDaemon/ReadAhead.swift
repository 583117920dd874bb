import ByteSource
import Synchronization

/// Threads that make the next blocks of bodies while earlier ones are sent.
///
/// They help whoever is there: where many bodies are under way, a body's own thread makes what nobody has begun.
final class ReadAheadPool: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var isStopped = false
    }

    let threadCount: Int
    private let state = Monitor(State())
    private let threads = Mutex<[Thread]>([])

    init(threadCount: Int) {
        self.threadCount = threadCount
    }

    func start() throws(DaemonError) {
        for _ in 0..<threadCount {
            let thread = try Thread { self.work() }
            threads.withLock { $0.append(thread) }
        }
    }

    func submit(_ job: @escaping @Sendable () -> Void) {
        state.withLock { $0.waiting.append(job) }
    }

    /// Called when no body is left.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.waiting.removeAll()
        }
        for thread in threads.withLock({ threads in
            defer { threads.removeAll() }
            return threads
        }) {
            thread.join()
        }
    }

    private func work() {
        while let job = next() { job() }
    }

    /// - Returns: `nil` after stop().
    private func next() -> (@Sendable () -> Void)? {
        let next: (@Sendable () -> Void)?? = state.wait { state in
            if state.isStopped { return .some(nil) }
            return state.waiting.isEmpty ? nil : .some(state.waiting.removeFirst())
        }
        return next ?? nil
    }
}

/// A part of a source that is read from front to back, whose next pieces are made ahead by other threads.
///
/// Each of them reads a twin of the source. A piece that none of them has begun when its turn comes is made by the thread that
/// reads, as if there were nobody else.
final class ReadAheadSource: ByteSource {
    let byteCount: Int
    private let source: any ByteSource
    private let pieces: ReadAheadPieces
    private let pool: ReadAheadPool

    /// - Parameters:
    ///   - end: Of the part, in bytes of the source.
    ///   - blocks: The memory of the pieces, one each, all of one size.
    /// - Returns: `nil` where the source has no twins, or there is nothing to gain.
    init?(_ source: any ByteSource, end: Int, blocks: [BodyMemory.Block], pool: ReadAheadPool) {
        guard let size = blocks.first?.size else { return nil }
        let twins = (0..<min(pool.threadCount, blocks.count)).compactMap { _ in source.makeTwin() }
        guard !twins.isEmpty else { return nil }
        byteCount = source.byteCount
        self.source = source
        self.pool = pool
        pieces = ReadAheadPieces(twins: twins, blocks: blocks, pieceSize: size, end: end)
    }

    deinit {
        pieces.abandon()
    }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let wanted = min(destination.byteCount, byteCount - position)
        let (step, begun) = pieces.step(at: position, wanted: wanted)
        for start in begun { pool.submit { [pieces] in pieces.make(at: start) } }
        switch step {
        case .make(let count):
            var room = destination._mutatingExtracting(0..<count)
            return source.read(at: position, into: &room)
        case .take:
            return pieces.take(at: position, into: &destination)
        }
    }
}

/// What has been made of a source ahead, shared by the thread that reads and those that make.
final class ReadAheadPieces: Sendable {
    private struct Piece {
        let range: Range<Int>
        /// `nil` while some thread makes it.
        var bytes: [UInt8]?
        var isBegun = false
    }

    private struct State {
        /// In order and without gaps.
        var pieces: [Piece] = []
        /// What no thread uses. A twin is used by one thread at a time.
        var twins: [any ByteSource]
        var buffers: [[UInt8]] = []
        var isAbandoned = false
    }

    enum Step {
        /// So many bytes are to be made by who asks.
        case make(Int)
        /// Some are there or will be soon.
        case take
    }

    private let state: Monitor<State>
    /// Counted until the last thread is through.
    private let blocks: [BodyMemory.Block]
    private let pieceSize: Int
    private let end: Int

    init(twins: [any ByteSource], blocks: [BodyMemory.Block], pieceSize: Int, end: Int) {
        state = Monitor(State(twins: twins))
        self.blocks = blocks
        self.pieceSize = pieceSize
        self.end = end
    }

    /// Nobody will read any more.
    func abandon() {
        state.withLock { $0.isAbandoned = true }
    }

    /// Finds out what the reader does next, and enters what is to be made meanwhile.
    ///
    /// - Returns: The step, and where the pieces begin that other threads have to be told of.
    func step(at position: Int, wanted: Int) -> (Step, begun: [Int]) {
        state.withLock { state in
            state.pieces.removeAll { $0.range.upperBound <= position }
            // Reading elsewhere begins anew; who makes a piece that is not listed drops it.
            if let first = state.pieces.first, first.range.lowerBound > position + pieceSize {
                state.pieces.removeAll()
            }
            var step = Step.take
            var next = position
            if let first = state.pieces.first, first.range.contains(position) {
                if !first.isBegun {
                    state.pieces.removeFirst()
                    next = min(first.range.upperBound, position + wanted)
                    step = .make(next - position)
                }
            } else {
                next = min(state.pieces.first?.range.lowerBound ?? .max, position + wanted)
                step = .make(next - position)
            }
            next = state.pieces.last?.range.upperBound ?? next
            var begun: [Int] = []
            while state.pieces.count < blocks.count, next < end {
                let piece = next..<min(next + pieceSize, end)
                state.pieces.append(Piece(range: piece))
                begun.append(piece.lowerBound)
                next = piece.upperBound
            }
            return (step, begun)
        }
    }

    /// Longest time that the reader waits for a piece, before it lets other connections have their turn.
    private static let patience: Duration = .milliseconds(2)

    /// Copies bytes of the piece at a position, which some thread has begun.
    ///
    /// - Returns: How many; 0 where it is not made yet.
    func take(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let taken: (range: Range<Int>, bytes: [UInt8])? = state.wait(until: .now + Self.patience) { state in
            guard let first = state.pieces.first, let bytes = first.bytes else { return nil }
            state.pieces[0].bytes = []
            return (first.range, bytes)
        }
        guard let taken else { return 0 }
        let from = position - taken.range.lowerBound
        let count = destination.copy(taken.bytes.span.bytes.extracting(from..<taken.range.count))
        state.withLock { state in
            if from + count == taken.range.count {
                state.pieces.removeFirst()
                state.buffers.append(taken.bytes)
            } else {
                state.pieces[0].bytes = taken.bytes
            }
        }
        return count
    }

    /// Makes a piece, if it is still wanted and nobody has begun it.
    func make(at start: Int) {
        let begun: (range: Range<Int>, twin: any ByteSource, buffer: [UInt8])? = state.withLock { state in
            guard !state.isAbandoned, let index = state.pieces.firstIndex(where: { $0.range.lowerBound == start }),
                !state.pieces[index].isBegun, let twin = state.twins.popLast()
            else { return nil }
            state.pieces[index].isBegun = true
            return (state.pieces[index].range, twin, state.buffers.popLast() ?? [])
        }
        guard let (range, twin, spare) = begun else { return }
        var buffer = spare
        if buffer.count < range.count { buffer = [UInt8](repeating: 0, count: range.count) }
        var made = 0
        while made < range.count, !state.withLock({ $0.isAbandoned }) {
            var storage = buffer.mutableSpan
            var bytes = storage.mutableBytes
            var room = bytes._mutatingExtracting(made..<range.count)
            made += twin.read(at: range.lowerBound + made, into: &room)
        }
        state.withLock { state in
            state.twins.append(twin)
            if let index = state.pieces.firstIndex(where: { $0.range == range && $0.isBegun && $0.bytes == nil }) {
                state.pieces[index].bytes = buffer
            } else {
                state.buffers.append(buffer)
            }
        }
    }
}

extension BodyMemory {
    /// A part of a source, read ahead where there are threads and memory for it.
    ///
    /// - Parameter block: What the part is sent by.
    func readAhead(_ source: any ByteSource, _ range: Range<Int>, block: Block) -> any ByteSource {
        // A short body is made before others have come to help.
        guard let readAheadPool, range.count > 2 * blockSize else { return source }
        var blocks: [Block] = []
        while blocks.count < 2 * readAheadPool.threadCount, let next = take(byteCount: block.size),
            next.size == block.size
        {
            blocks.append(next)
        }
        return ReadAheadSource(source, end: range.upperBound, blocks: blocks, pool: readAheadPool) ?? source
    }
}
