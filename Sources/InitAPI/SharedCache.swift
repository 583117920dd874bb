internal import ByteText
import Glibc
import Synchronization
package import WeightInit

/// Maximum number of values in a cache: few enough to search for the oldest one.
private let maximumCount = 4096

/// Values that take work, cached for later requests and made once for simultaneous ones.
///
/// The cache is bounded in bytes and drops the least recently used value first. A value that a reply still uses is not
/// dropped, because dropping it would free no memory. If that leaves no room, a new value is not cached. So the cache
/// never holds more bytes than its limit, and a value outside it is counted by the reply that holds it.
package final class SharedCache<Value: AnyObject & Sendable>: Sendable {
    /// A value, and the bytes of it that its reply must count because the cache does not.
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

    /// A value that is being made, shared by the requests that wait for it.
    ///
    /// Sendable because it is accessed under the cache's lock only.
    fileprivate final class Flight: @unchecked Sendable {
        var waiting = 0
        var outcome: Outcome?
    }

    fileprivate enum Outcome: Sendable {
        case made(Value, uncountedBytes: Int)
        case failed(InitError)
        /// The request that was making the value was cancelled, and no other request waited.
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

    /// Bytes of the cached values.
    package var byteCount: Int { state.withLock { $0.byteCount } }

    /// Number of values that were not cached, so that their making has begun.
    package var madeCount: Int { state.withLock { $0.madeCount } }

    /// The cached value of a key.
    func kept(_ key: Text) -> Value? {
        state.withLock { $0.use(key) }
    }

    /// Drops all values. Values that are being made will not be cached.
    func removeAll() {
        state.withLock { state in
            state.entries = [:]
            state.flights = [:]
            state.byteCount = 0
        }
    }

    /// The cached value of a key, the one that another thread is computing, or the result of `make`.
    ///
    /// - Returns: `nil` once `isCancelled` has turned true. Work that other requests wait for continues nevertheless.
    func share(_ key: Text, isCancelled: () -> Bool, make: @escaping Make) throws(InitError) -> Share? {
        while true {
            switch state.withLock({ $0.join(key) }) {
            case .kept(let value):
                return Share(value: value, uncountedBytes: 0)
            case .wait(let flight):
                switch wait(for: flight, isCancelled) {
                case .made(let value, let bytes): return Share(value: value, uncountedBytes: bytes)
                case .failed(let error): throw error
                // The request that was making the value is gone. This request joins again and may make it.
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

    /// Caches the made value, if there is room, and passes the outcome to the requests that wait.
    private func settle(_ flight: Flight, _ key: Text, _ outcome: Outcome) -> Outcome {
        state.withLock { state in
            var outcome = outcome
            // The key can belong to another flight, if all values were dropped meanwhile.
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
            // A mutex has no condition to wait for. Values take longer to make than this sleep.
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

    /// - Returns: `true` if there was room.
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

    /// The key of the least recently used value that no reply holds.
    private mutating func oldestUnused() -> Text? {
        var oldest: (key: Text, lastUse: UInt64)?
        // A loop by hand, because `entries.indices` would hold a second reference to the entries.
        var index = entries.startIndex
        while index < entries.endIndex {
            // No other thread can take a reference meanwhile, because that needs the lock, too.
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
    /// A cache of the results of plans' preparations.
    convenience init(limit: Int) {
        self.init(limit: limit) { $0.byteCount }
    }
}
