import Synchronization

/// Memory of the response bodies that are being sent, shared out so that slow readers cannot take it all.
///
/// Each body gets one block. The block has the configured size while there is plenty of memory, and is smaller when
/// less is left. A smallest block stays free for each connection that may still open, so a body is refused only if the
/// limit is too low for the smallest blocks of all connections.
///
/// `reserve(_:)` counts bytes that a response holds besides its block.
final class BodyMemory: Sendable {
    /// The smallest block that is worth sending.
    static let smallestBlock = 16 << 10

    private struct State {
        var available: Int
        var bodies = 0
    }

    /// Bytes of a long body's block while there is plenty of memory.
    let blockSize: Int
    private let limit: Int
    private let connectionLimit: Int
    private let state: Mutex<State>

    init(limit: Int, blockSize: Int, connectionLimit: Int) {
        self.limit = limit
        self.blockSize = blockSize
        self.connectionLimit = connectionLimit
        state = Mutex(State(available: limit))
    }

    /// Bytes that are taken.
    var held: Int { limit - state.withLock { $0.available } }

    /// A block for a body of `byteCount` bytes; `nil` if there is no memory for it.
    func take(byteCount: Int) -> Block? {
        let smallest = min(Self.smallestBlock, blockSize, byteCount)
        let size: Int? = state.withLock { state in
            guard smallest <= state.available else { return nil }
            let share = (state.available - kept(state)) / 4
            // A multiple of the smallest block, so that elements do not straddle blocks.
            let size = min(blockSize, byteCount, max(smallest, share - share % Self.smallestBlock))
            state.available -= size
            state.bodies += 1
            return size
        }
        return size.map { Block(of: self, size: $0, isBody: true) }
    }

    /// Counts bytes that a response holds; `nil` if too few are free. The smallest blocks of further connections stay
    /// free, up to half of the limit.
    func reserve(_ byteCount: Int) -> Block? {
        let isReserved = state.withLock { state in
            guard byteCount <= state.available - min(kept(state), limit / 2) else { return false }
            state.available -= byteCount
            return true
        }
        return isReserved ? Block(of: self, size: byteCount, isBody: false) : nil
    }

    /// Bytes of the smallest blocks of the connections that may still open.
    private func kept(_ state: State) -> Int {
        max(0, connectionLimit - state.bodies - 1) * Self.smallestBlock
    }

    fileprivate func giveBack(_ block: Block) {
        state.withLock { state in
            state.available += block.size
            if block.isBody { state.bodies -= 1 }
        }
    }

    /// Bytes that count as taken until this object is freed.
    final class Block: Sendable {
        let size: Int
        fileprivate let isBody: Bool
        private let memory: BodyMemory

        fileprivate init(of memory: BodyMemory, size: Int, isBody: Bool) {
            self.memory = memory
            self.size = size
            self.isBody = isBody
        }

        deinit {
            memory.giveBack(self)
        }
    }
}
