import Synchronization

/// The memory that the bodies under way have, shared out so that who reads slowly cannot take it all.
///
/// A body gets as large a block as the configuration says while there is plenty, a smaller one the less is left, and never
/// what further connections would need for the smallest. So a body is refused only where the memory is less than the
/// connections allowed need.
///
/// Bytes that a response holds besides its block count as well: `reserve(_:)`.
final class BodyMemory: Sendable {
    /// The smallest block that is worth sending.
    static let smallestBlock = 16 << 10

    private struct State {
        var available: Int
        var bodies = 0
    }

    /// Of a body that is long, while there is plenty.
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

    /// A block for a body of some length; `nil` where there is no memory for it.
    func take(byteCount: Int) -> Block? {
        let smallest = min(Self.smallestBlock, blockSize, byteCount)
        let size: Int? = state.withLock { state in
            guard smallest <= state.available else { return nil }
            let share = (state.available - kept(state)) / 4
            // In units of the smallest, so that elements do not straddle blocks.
            let size = min(blockSize, byteCount, max(smallest, share - share % Self.smallestBlock))
            state.available -= size
            state.bodies += 1
            return size
        }
        return size.map { Block(of: self, size: $0, isBody: true) }
    }

    /// Counts bytes that a response holds; `nil` if they are not to be had without what further connections need, of which up to
    /// half of the memory is kept for them.
    func reserve(_ byteCount: Int) -> Block? {
        let isReserved = state.withLock { state in
            guard byteCount <= state.available - min(kept(state), limit / 2) else { return false }
            state.available -= byteCount
            return true
        }
        return isReserved ? Block(of: self, size: byteCount, isBody: false) : nil
    }

    /// The smallest blocks of the connections that may still come.
    private func kept(_ state: State) -> Int {
        max(0, connectionLimit - state.bodies - 1) * Self.smallestBlock
    }

    fileprivate func giveBack(_ block: Block) {
        state.withLock { state in
            state.available += block.size
            if block.isBody { state.bodies -= 1 }
        }
    }

    /// Counts as taken until it goes away.
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
