internal import CNettle

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces, computed by Nettle.
///
/// Nettle uses the processor's SHA instructions if there are any.
public struct SHA256: Sendable {
    /// Nettle's functions keep all state of a digest in this structure, so a copy is an independent digest.
    private var context = sha256_ctx()

    /// The digest of no bytes so far.
    public init() {
        nettle_sha256_init(&context)
    }

    /// The digest of all bytes of `data`.
    public static func hash(data: some Collection<UInt8>) -> Digest {
        var hash = SHA256()
        hash.update(data: data)
        return hash.finalize()
    }

    /// Appends the bytes of `data`. Copies them first if they are not contiguous.
    public mutating func update(data: some Collection<UInt8>) {
        let isContiguous: Void? = data.withContiguousStorageIfAvailable { bytes in
            update(bufferPointer: UnsafeRawBufferPointer(bytes))
        }
        if isContiguous == nil { Array(data).withUnsafeBytes { update(bufferPointer: $0) } }
    }

    /// Appends the bytes of a span.
    public mutating func update(span: RawSpan) {
        // Unsafe because C takes a pointer and a length.
        span.withUnsafeBytes { update(bufferPointer: $0) }
    }

    /// Appends bytes that stay where they are until the call returns.
    public mutating func update(bufferPointer bytes: UnsafeRawBufferPointer) {
        // Unsafe because C takes a pointer and a length.
        guard let address = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
        nettle_sha256_update(&context, bytes.count, address)
    }

    /// The digest of all bytes appended so far, to which more can still be appended.
    public func finalize() -> Digest {
        var context = context
        var digest = Digest()
        var bytes = digest.bytes.mutableSpan
        // Unsafe because C takes a pointer and a length.
        bytes.withUnsafeMutableBufferPointer { nettle_sha256_digest(&context, $0.count, $0.baseAddress) }
        return digest
    }
}

extension SHA256 {
    /// 32 bytes.
    public struct Digest: Sendable {
        fileprivate(set) var bytes = InlineArray<32, UInt8>(repeating: 0)
    }
}

extension SHA256.Digest: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { bytes.count }
    public subscript(position: Int) -> UInt8 { bytes[position] }
}

extension SHA256.Digest: Hashable {
    /// Compares in a time that does not depend on the bytes, so that a secret's digest can be compared with a client's.
    public static func == (left: Self, right: Self) -> Bool {
        zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    public func hash(into hasher: inout Hasher) {
        for byte in self { hasher.combine(byte) }
    }
}

extension SHA256.Digest: CustomStringConvertible {
    /// 64 hexadecimal digits, lower case.
    public var description: String { hexadecimal(byteCount: count) }

    /// The first bytes as hexadecimal digits, lower case.
    ///
    /// - Parameter byteCount: From 0 to 32.
    public func hexadecimal(byteCount: Int) -> String {
        String(unsafeUninitializedCapacity: 2 * byteCount) { text in
            for index in 0..<byteCount {
                text[2 * index] = Self.digit(bytes[index] >> 4)
                text[2 * index + 1] = Self.digit(bytes[index] & 15)
            }
            return 2 * byteCount
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
