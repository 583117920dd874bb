import ByteSource
import ByteText
@testable import WeightInit

/// All bytes of a source, read in pieces of a given size.
func readAll(_ source: any ByteSource, pieces: Int = 1 << 16) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: pieces)
    while bytes.count < source.byteCount {
        var storage = buffer.mutableSpan
        var span = storage.mutableBytes
        let count = source.read(at: bytes.count, into: &span)
        bytes += buffer.prefix(count)
    }
    return bytes
}

/// `count` bytes of a source, in as many reads as needed.
func read(_ source: any ByteSource, at start: Int, count: Int) -> [UInt8] {
    var result: [UInt8] = []
    while result.count < count {
        var buffer = [UInt8](repeating: 0, count: count - result.count)
        var storage = buffer.mutableSpan
        var span = storage.mutableBytes
        let written = source.read(at: start + result.count, into: &span)
        result += buffer.prefix(written)
    }
    return result
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

extension TensorRequest {
    /// A request by the method's name.
    init(
        method: Text,
        shape: Shape,
        dtype: DType = .float32,
        arguments: Arguments = Arguments(),
        slice: Slice? = nil
    ) {
        self.init(method: InitMethod.named(method), shape: shape, dtype: dtype, arguments: arguments, slice: slice)
    }
}

/// The bytes of a block, copied element by element.
func block(of whole: [UInt8], shape: [Int], itemSize: Int, _ ranges: [Range<Int>]) -> [UInt8] {
    var result: [UInt8] = []
    for element in 0..<shape.reduce(1, *) {
        var rest = element
        var isInside = true
        for (size, range) in zip(shape, ranges).reversed() {
            isInside = isInside && range.contains(rest % size)
            rest /= size
        }
        if isInside { result += whole[element * itemSize..<(element + 1) * itemSize] }
    }
    return result
}
