internal import ByteText
import Glibc
import Synchronization
package import WeightInit

/// Values in a cache: few enough to be looked through for the oldest.
private let maximumCount = 4096

/// Values that take work, cached for later requests and made once for simultaneous ones.
///
/// Bounded in bytes; the value used longest ago goes first. What a reply still uses is not dropped, because dropping it would
/// free nothing; where that leaves no room, what is new is not kept. So the bytes that this holds never pass the limit, and all
/// else is held by replies that count it themselves.
package final class SharedCache<Value: AnyObject & Sendable>: Sendable {
    /// A value, and the bytes of it that nobody but its reply counts.
    struct Share: Sendable {
        var value: Value
        var uncountedBytes: Int
    }

    typealias Make = (_ isCancelled: () -> Bool) throws(InitError) -> Value?

    fileprivate struct Entry {
        var value: Value
        let byteCount: Int
        var lastUse: UInt64
    }

    /// A value that is being made, for those who wait for it.
    ///
    /// Sendable because it is touched under the cache's lock only.
    fileprivate final class Flight: @unchecked Sendable {
        var waiting = 0
        var outcome: Outcome?
    }

    fileprivate enum Outcome: Sendable {
        case made(Value, uncountedBytes: Int)
        case failed(InitError)
        /// The request that made it was cancelled while none waited.
        case cancelled
    }

    fileprivate enum Turn: Sendable {
        case kept(Value)
        case wait(Flight)
        case make(Flight)
    }

    fileprivate struct State {
        var entries: [Text: Entry] = [:]
        var flights: [Text: Flight] = [:]
        var byteCount = 0
        var madeCount = 0
        /// Counts uses.
        var clock: UInt64 = 0
    }

    private let limit: Int
    private let size: @Sendable (Value) -> Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: Bytes; 0 keeps nothing.
    ///   - size: Bytes of memory that a value takes.
    init(limit: Int, size: @escaping @Sendable (Value) -> Int) {
        self.limit = limit
        self.size = size
    }

    /// Bytes that are kept.
    package var byteCount: Int { state.withLock { $0.byteCount } }

    /// Values that have been begun.
    package var madeCount: Int { state.withLock { $0.madeCount } }

    /// The cached value of a key.
    func kept(_ key: Text) -> Value? {
        state.withLock { $0.use(key) }
    }

    /// Forgets all values. Those that are being made are not kept.
    func removeAll() {
        state.withLock { state in
            state.entries = [:]
            state.flights = [:]
            state.byteCount = 0
        }
    }

    /// The cached value of a key, the one that another thread is computing, or the result of `make`.
    ///
    /// - Returns: `nil` once `isCancelled` has turned true. Work that others wait for goes on nevertheless.
    func share(_ key: Text, isCancelled: () -> Bool, make: @escaping Make) throws(InitError) -> Share? {
        while true {
            switch state.withLock({ $0.join(key) }) {
            case .kept(let value):
                return Share(value: value, uncountedBytes: 0)
            case .wait(let flight):
                switch wait(for: flight, isCancelled) {
                case .made(let value, let bytes): return Share(value: value, uncountedBytes: bytes)
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
                case .made(let value, let bytes): return Share(value: value, uncountedBytes: bytes)
                case .failed(let error): throw error
                case .cancelled: return nil
                }
            }
        }
    }

    private func outcome(of make: @escaping Make, isCancelled: () -> Bool) -> Outcome {
        do throws(InitError) {
            return try make(isCancelled).map { .made($0, uncountedBytes: size($0)) } ?? .cancelled
        } catch {
            return error.kind == .cancelled ? .cancelled : .failed(error)
        }
    }

    /// Keeps what has been made, if there is room, and tells those who wait.
    private func settle(_ flight: Flight, _ key: Text, _ outcome: Outcome) -> Outcome {
        state.withLock { state in
            var outcome = outcome
            // Another flight, if all values were forgotten meanwhile.
            if state.flights[key] === flight {
                state.flights[key] = nil
                if case .made(let value, let bytes) = outcome, state.keep(value, key, bytes: bytes, limit: limit) {
                    outcome = .made(value, uncountedBytes: 0)
                }
            }
            flight.outcome = outcome
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

extension SharedCache.State {
    fileprivate mutating func use(_ key: Text) -> Value? {
        clock += 1
        entries[key]?.lastUse = clock
        return entries[key]?.value
    }

    fileprivate mutating func join(_ key: Text) -> SharedCache.Turn {
        if let value = use(key) { return .kept(value) }
        if let flight = flights[key] {
            flight.waiting += 1
            return .wait(flight)
        }
        let flight = SharedCache.Flight()
        flights[key] = flight
        madeCount += 1
        return .make(flight)
    }

    /// - Returns: Whether there was room.
    fileprivate mutating func keep(_ value: Value, _ key: Text, bytes: Int, limit: Int) -> Bool {
        guard bytes <= limit else { return false }
        while byteCount > limit - bytes || entries.count >= maximumCount {
            guard let oldest = oldestUnused() else { return false }
            byteCount -= entries.removeValue(forKey: oldest)?.byteCount ?? 0
        }
        clock += 1
        entries[key] = SharedCache.Entry(value: value, byteCount: bytes, lastUse: clock)
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
            if isKnownUniquelyReferenced(&entries.values[index].value) {
                let entry = entries[index]
                if entry.value.lastUse < oldest?.lastUse ?? .max { oldest = (entry.key, entry.value.lastUse) }
            }
            entries.formIndex(after: &index)
        }
        return oldest?.key
    }
}

package typealias PreparationCache = SharedCache<Preparation>

extension SharedCache<Preparation> {
    /// Of results of plans' preparations.
    convenience init(limit: Int) {
        self.init(limit: limit) { $0.byteCount }
    }
}
