internal import ByteText
import Glibc
import Synchronization
import WeightInit

/// Results of plans' preparations, cached for later requests and computed once for simultaneous ones.
///
/// Bounded in bytes. What a source still reads from is not dropped, because dropping it would free nothing; where that
/// leaves no room, what is new is not kept. So the bytes that this holds never pass the limit, and all else is held by
/// replies that count it themselves.
package final class PreparationCache: Sendable {
    /// A preparation, and the bytes of it that nobody but its reply counts.
    struct Share: Sendable {
        var preparation: Preparation
        var uncountedBytes: Int
    }

    typealias Make = (_ isCancelled: () -> Bool) throws(InitError) -> Preparation?

    fileprivate struct Entry {
        var preparation: Preparation
        let byteCount: Int
        var lastUse: UInt64
    }

    /// A preparation that is being made, for those who wait for it.
    ///
    /// Sendable because it is touched under the cache's lock only.
    fileprivate final class Flight: @unchecked Sendable {
        var waiting = 0
        var outcome: Outcome?
    }

    fileprivate enum Outcome: Sendable {
        case made(Preparation, uncountedBytes: Int)
        case failed(InitError)
        /// The preparing request was cancelled while none waited.
        case cancelled
    }

    fileprivate enum Turn: Sendable {
        case kept(Preparation)
        case wait(Flight)
        case make(Flight)
    }

    fileprivate struct State {
        var entries: [Text: Entry] = [:]
        var flights: [Text: Flight] = [:]
        var byteCount = 0
        package var madeCount = 0
        /// Counts uses.
        var clock: UInt64 = 0
    }

    /// Few enough to be looked through for the oldest.
    fileprivate static let maximumCount = 4096

    private let limit: Int
    private let state = Mutex(State())

    /// - Parameter limit: Bytes; 0 keeps nothing.
    init(limit: Int) {
        self.limit = limit
    }

    /// Bytes that are kept.
    package var byteCount: Int { state.withLock { $0.byteCount } }

    /// Preparations that have been begun.
    package var madeCount: Int { state.withLock { $0.madeCount } }

    /// The cached value of a key.
    func kept(_ key: Text) -> Preparation? {
        state.withLock { $0.use(key) }
    }

    /// The cached value of a key, the one that another thread is computing, or the result of `make`.
    ///
    /// - Returns: `nil` once `isCancelled` has turned true. Work that others wait for goes on nevertheless.
    func share(_ key: Text, isCancelled: () -> Bool, make: @escaping Make) throws(InitError) -> Share? {
        while true {
            switch state.withLock({ $0.join(key) }) {
            case .kept(let preparation):
                return Share(preparation: preparation, uncountedBytes: 0)
            case .wait(let flight):
                switch wait(for: flight, isCancelled) {
                case .made(let preparation, let bytes): return Share(preparation: preparation, uncountedBytes: bytes)
                case .failed(let error): throw error
                // Nobody is there to make it any more: perhaps this one is.
                case .cancelled: continue
                case nil: return nil
                }
            case .make(let flight):
                let outcome = outcome(of: make) {
                    isCancelled() && state.withLock { _ in flight.waiting == 0 }
                }
                switch settle(flight, key, outcome) {
                case .made(let preparation, let bytes): return Share(preparation: preparation, uncountedBytes: bytes)
                case .failed(let error): throw error
                case .cancelled: return nil
                }
            }
        }
    }

    private func outcome(of make: @escaping Make, isCancelled: () -> Bool) -> Outcome {
        do throws(InitError) {
            return try make(isCancelled).map { .made($0, uncountedBytes: $0.byteCount) } ?? .cancelled
        } catch {
            return .failed(error)
        }
    }

    /// Keeps what has been made, if there is room, and tells those who wait.
    private func settle(_ flight: Flight, _ key: Text, _ outcome: Outcome) -> Outcome {
        state.withLock { state in
            var outcome = outcome
            if case .made(let preparation, let bytes) = outcome,
                state.keep(preparation, key, bytes: bytes, limit: limit)
            {
                outcome = .made(preparation, uncountedBytes: 0)
            }
            flight.outcome = outcome
            state.flights[key] = nil
            return outcome
        }
    }

    /// - Returns: `nil` when cancelled.
    private func wait(for flight: Flight, _ isCancelled: () -> Bool) -> Outcome? {
        while true {
            let isGivenUp = isCancelled()
            let outcome = state.withLock { _ in
                if isGivenUp || flight.outcome != nil { flight.waiting -= 1 }
                return flight.outcome
            }
            if isGivenUp || outcome != nil { return outcome }
            // A mutex has nothing to wait on, and what is waited for takes longer than this.
            usleep(1000)
        }
    }
}

extension PreparationCache.State {
    fileprivate mutating func use(_ key: Text) -> Preparation? {
        clock += 1
        entries[key]?.lastUse = clock
        return entries[key]?.preparation
    }

    fileprivate mutating func join(_ key: Text) -> PreparationCache.Turn {
        if let preparation = use(key) { return .kept(preparation) }
        if let flight = flights[key] {
            flight.waiting += 1
            return .wait(flight)
        }
        let flight = PreparationCache.Flight()
        flights[key] = flight
        madeCount += 1
        return .make(flight)
    }

    /// - Returns: Whether there was room.
    fileprivate mutating func keep(_ preparation: Preparation, _ key: Text, bytes: Int, limit: Int) -> Bool {
        guard bytes <= limit else { return false }
        while byteCount > limit - bytes || entries.count >= PreparationCache.maximumCount {
            guard let oldest = oldestUnused() else { return false }
            byteCount -= entries.removeValue(forKey: oldest)?.byteCount ?? 0
        }
        clock += 1
        entries[key] = PreparationCache.Entry(preparation: preparation, byteCount: bytes, lastUse: clock)
        byteCount += bytes
        return true
    }

    /// The key used longest ago of those that no source holds.
    private mutating func oldestUnused() -> Text? {
        var oldest: (key: Text, lastUse: UInt64)?
        // By hand, because the collection of indices would hold the entries, too.
        var index = entries.startIndex
        while index < entries.endIndex {
            // No one else can take hold of it now: for that, too, the lock is needed.
            if isKnownUniquelyReferenced(&entries.values[index].preparation) {
                let entry = entries[index]
                if entry.value.lastUse < oldest?.lastUse ?? .max { oldest = (entry.key, entry.value.lastUse) }
            }
            entries.formIndex(after: &index)
        }
        return oldest?.key
    }
}
