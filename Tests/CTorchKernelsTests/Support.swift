import CTorchKernels
import Testing

#if DEBUG
    let optimised = false
#else
    let optimised = true
#endif

/// One kernel set that this processor can run.
struct Variant: Sendable, CustomTestStringConvertible {
    let index: Int

    private static func tables() -> [UnsafePointer<ctk_kernels>] {
        var tables = [UnsafePointer<ctk_kernels>](repeating: ctk_best(), count: 8)
        let count = ctk_variants(&tables, tables.count)
        return Array(tables.prefix(count))
    }

    static let all: [Variant] = tables().indices.map(Variant.init)

    var table: UnsafePointer<ctk_kernels> { Self.tables()[index] }
    var kernels: ctk_kernels { table.pointee }
    var testDescription: String { String(cString: kernels.name) }
}

/// Owns a stream.
final class Stream {
    let pointer = UnsafeMutablePointer<ctk_stream>.allocate(capacity: 1)

    init(seed: UInt32) { ctk_seed(pointer, seed) }

    init(copying other: Stream) { pointer.initialize(to: other.pointer.pointee) }

    deinit { pointer.deallocate() }

    /// Equality of state words and position. A Boolean, so that a failure does not print them.
    func stands(where other: Stream) -> Bool {
        let size = MemoryLayout<ctk_stream>.size
        return UnsafeRawBufferPointer(start: pointer, count: size)
            .elementsEqual(UnsafeRawBufferPointer(start: other.pointer, count: size))
    }
}

/// Runs `body` on memory for `count` elements, `offset` elements after a well-aligned address, and returns what it wrote
/// there. Writing outside is an issue.
func guarded<T: FixedWidthInteger>(
    _ count: Int,
    offset: Int = 0,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (UnsafeMutableRawPointer) -> Void
) -> [T] {
    let margin = 64
    let canary = T(truncatingIfNeeded: 0x5aa5_c33c_7e81_1db2)
    let memory = UnsafeMutableRawPointer.allocate(
        byteCount: (offset + count + 2 * margin) * MemoryLayout<T>.size,
        alignment: 64
    )
    defer { memory.deallocate() }
    let elements = memory.bindMemory(to: T.self, capacity: offset + count + 2 * margin)
    elements.initialize(repeating: canary, count: offset + count + 2 * margin)
    let start = offset + margin
    body(memory + start * MemoryLayout<T>.size)
    let intact =
        (0..<start).allSatisfy { elements[$0] == canary }
        && (start + count..<start + count + margin).allSatisfy { elements[$0] == canary }
    #expect(intact, "wrote outside its elements", sourceLocation: sourceLocation)
    return Array(UnsafeBufferPointer(start: elements + start, count: count))
}

/// SplitMix64, so that a failing case can be reproduced.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}
