import Synchronization

/// The memory that the bodies under way have for their blocks, shared out so that who reads slowly cannot take it all.
///
/// A body gets as large a block as the configuration says while there is plenty, a smaller one the less is left, and never
/// what further connections would need for the smallest. So a body is refused only where the memory is less than the
/// connections allowed need.
final class BodyMemory: Sendable {
    /// The smallest block that is worth sending.
    static let smallestBlock = 16 << 10

    private struct State {
        var available: Int
        var bodies = 0
    }

    /// Of a body that is long, while there is plenty.
    let blockSize: Int
    private let connectionLimit: Int
    /// `nil` where bodies are made by the threads that send them.
    let readAheadPool: ReadAheadPool?
    private let state: Mutex<State>

    init(limit: Int, blockSize: Int, connectionLimit: Int, readAheadPool: ReadAheadPool? = nil) {
        self.blockSize = blockSize
        self.readAheadPool = readAheadPool
        self.connectionLimit = connectionLimit
        state = Mutex(State(available: limit))
    }

    /// A block for a body of some length; `nil` where there is no memory for it.
    func take(byteCount: Int) -> Block? {
        let smallest = min(Self.smallestBlock, blockSize, byteCount)
        let size: Int? = state.withLock { state in
            guard smallest <= state.available else { return nil }
            let kept = max(0, connectionLimit - state.bodies - 1) * Self.smallestBlock
            let share = (state.available - kept) / 4
            // In units of the smallest, so that elements do not straddle blocks.
            let size = min(blockSize, byteCount, max(smallest, share - share % Self.smallestBlock))
            state.available -= size
            state.bodies += 1
            return size
        }
        return size.map { Block(of: self, size: $0) }
    }

    private func giveBack(_ size: Int) {
        state.withLock { state in
            state.available += size
            state.bodies -= 1
        }
    }

    /// Counts as taken until it goes away.
    final class Block: Sendable {
        let size: Int
        private let memory: BodyMemory

        fileprivate init(of memory: BodyMemory, size: Int) {
            self.memory = memory
            self.size = size
        }

        deinit {
            memory.giveBack(size)
        }
    }
}
