internal import ByteText
internal import WeightInit

/// A cache of values made from models: decoded requests, plans, files of weights.
package final class ModelCache: Sendable {
    /// A cached value of any type, and its size.
    private final class Made: Sendable {
        let value: any Sendable
        let byteCount: Int

        init(_ value: any Sendable, byteCount: Int) {
            self.value = value
            self.byteCount = byteCount
        }
    }

    private let cache: SharedCache<Made>

    /// - Parameter limit: Bytes; 0 keeps nothing.
    init(limit: Int) {
        cache = SharedCache(limit: limit) { $0.byteCount }
    }

    /// Bytes of the cached values.
    package var byteCount: Int { cache.byteCount }

    /// Number of values that were not cached, so that their making has begun.
    package var madeCount: Int { cache.madeCount }

    /// The value of a key, if it is cached. Never waits.
    func kept<Value: Sendable>(_ key: Text, of type: Value.Type = Value.self) -> Value? {
        cache.kept(key)?.value as? Value
    }

    /// The value of a key: the cached one, the one that another thread is making, or the result of `make`.
    ///
    /// A key belongs to one type.
    ///
    /// - Parameter byteCount: Bytes of memory that the value takes.
    /// - Throws: `cancelled` once `isCancelled` has turned true; errors of `make`.
    func value<Value: Sendable>(
        _ key: Text,
        byteCount: @escaping (Value) -> Int,
        isCancelled: () -> Bool = { false },
        make: @escaping (_ isCancelled: () -> Bool) throws(InitError) -> Value
    ) throws(InitError) -> Value {
        let share = try cache.share(key, isCancelled: isCancelled) { isCancelled throws(InitError) in
            let value = try make(isCancelled)
            return Made(value, byteCount: byteCount(value))
        }
        guard let share else { throw .cancelled }
        guard let value = share.value.value as? Value else {
            throw InitError(.failed, [], "a value of another type has the same key")
        }
        return value
    }

    /// Drops all values. Values that are being made will not be cached.
    func removeAll() {
        cache.removeAll()
    }
}
