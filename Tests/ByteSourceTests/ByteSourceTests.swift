import ByteSource
import Testing

/// The protocols hold no code; what can be tested is that a conformer can be written and read without unsafe code.
@Suite struct ByteSources {
    final class Digits: ByteSource {
        let byteCount = 10

        func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
            let count = min(3, byteCount - position, destination.byteCount)
            for index in 0..<count {
                let digit = UInt8(ascii: "0") + UInt8(position + index)
                destination.storeBytes(of: digit, toByteOffset: index, as: UInt8.self)
            }
            return count
        }
    }

    @Test("A source is read to its end in pieces, from any position")
    func aSourceIsReadToIts() {
        let source: any ByteSource = Digits()
        for start in 0...source.byteCount {
            var bytes: [UInt8] = []
            while true {
                var piece = [UInt8](repeating: 0, count: 4)
                var elements = piece.mutableSpan
                var span = elements.mutableBytes
                let count = source.read(at: start + bytes.count, into: &span)
                guard count > 0 else {
                    break
                }
                bytes += piece[..<count]
            }
            #expect(String(decoding: bytes, as: UTF8.self) == String("0123456789".dropFirst(start)))
        }
    }
}
