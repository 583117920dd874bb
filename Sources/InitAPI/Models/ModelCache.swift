internal import ByteText
import Synchronization
internal import WeightInit

/// Values made of models, within a bound of memory: each is made once, for simultaneous requests, too. The one used longest ago
/// goes first.
package final class ModelCache: Sendable {
    /// A value of any type. Whoever has the lock first makes it; the others wait for the lock.
    fileprivate final class Slot: Sendable {
        let value = Mutex<(any Sendable)?>(nil)
    }

    fileprivate struct Entry {
        let slot = Slot()
        /// `nil` until the value has been made.
        var byteCount: Int?
        var lastUse: UInt64
    }

    fileprivate struct State {
        var entries: [Text: Entry] = [:]
        var byteCount = 0
        var madeCount = 0
        /// Counts uses.
        var clock: UInt64 = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    /// - Parameter limit: Bytes; 0 keeps nothing.
    init(limit: Int) {
        self.limit = limit
    }

    /// Bytes that are kept.
    package var byteCount: Int { state.withLock { $0.byteCount } }

    /// Values that have been made.
    package var madeCount: Int { state.withLock { $0.madeCount } }

    /// The value of a key, if it has been made. Never waits.
    func kept<Value: Sendable>(_ key: Text, of type: Value.Type = Value.self) -> Value? {
        let slot = state.withLock { $0.entries[key] == nil ? nil : $0.use(key) }
        return slot?.value.withLockIfAvailable { $0 } as? Value
    }

    /// The value of a key: the kept one, the one that another thread is making, or the result of `make`.
    ///
    /// A key belongs to one type.
    ///
    /// - Parameter byteCount: Bytes of memory that the value takes.
    func value<Value: Sendable>(
        _ key: Text,
        byteCount: (Value) -> Int,
        make: () throws(InitError) -> Value
    ) throws(InitError) -> Value {
        let slot = state.withLock { $0.use(key) }
        do throws(InitError) {
            return try slot.value.withLock { kept throws(InitError) in
                // No value is not a value, even if the type is optional.
                if let kept, let value = kept as? Value { return value }
                let value = try make()
                kept = value
                let byteCount = byteCount(value)
                state.withLock { $0.settle(key, slot, byteCount, limit: limit) }
                return value
            }
        } catch {
            state.withLock { $0.giveUp(key, slot) }
            throw error
        }
    }

    /// Forgets all values. Those that are being made are not kept.
    func removeAll() {
        state.withLock { state in
            state.entries = [:]
            state.byteCount = 0
        }
    }
}

extension ModelCache.State {
    /// The place of a value, which may not have been made.
    fileprivate mutating func use(_ key: Text) -> ModelCache.Slot {
        clock += 1
        var entry = entries[key] ?? ModelCache.Entry(lastUse: clock)
        entry.lastUse = clock
        entries[key] = entry
        return entry.slot
    }

    /// Keeps a value that has been made, if there can be room for it.
    fileprivate mutating func settle(_ key: Text, _ slot: ModelCache.Slot, _ bytes: Int, limit: Int) {
        madeCount += 1
        guard entries[key]?.slot === slot else { return }
        guard bytes <= limit else {
            entries[key] = nil
            return
        }
        while byteCount > limit - bytes, let oldest = oldest {
            byteCount -= entries.removeValue(forKey: oldest)?.byteCount ?? 0
        }
        entries[key]?.byteCount = bytes
        byteCount += bytes
    }

    /// Removes a place whose value could not be made.
    fileprivate mutating func giveUp(_ key: Text, _ slot: ModelCache.Slot) {
        if let entry = entries[key], entry.slot === slot, entry.byteCount == nil { entries[key] = nil }
    }

    /// The key used longest ago of those whose values have been made.
    private var oldest: Text? {
        entries.filter { $0.value.byteCount != nil }.min { $0.value.lastUse < $1.value.lastUse }?.key
    }
}
