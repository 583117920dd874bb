import ByteSource
import ByteText
import Synchronization
import TensorFormats
import Testing

struct ConcatenatedSourceTests {
    /// Parts of the given lengths, and all their bytes.
    private func parts(
        lengths: [Int],
        readSizes: [Int] = [],
        onMake: @escaping @Sendable (Int) -> Void = { _ in }
    ) -> (parts: [ConcatenatedSource.Part], whole: [UInt8]) {
        var whole: [UInt8] = []
        var parts: [ConcatenatedSource.Part] = []
        for (index, length) in lengths.enumerated() {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: ($0 + whole.count) &* 167 >> 3) }
            whole += bytes
            parts.append(
                .init(byteCount: length) {
                    onMake(index)
                    return StubSource(bytes, readSizes: readSizes)
                }
            )
        }
        return (parts, whole)
    }

    @Test("Any range of a concatenated source has the bytes of its parts", arguments: [[], [1], [7, 64, 1, 5000]])
    func anyRangeIsThatRangeOf(readSizes: [Int]) throws {
        let (parts, whole) = parts(lengths: [0, 1, 0, 0, 100, 1, 1, 4096, 0, 17, 8192, 0], readSizes: readSizes)
        let source = try ConcatenatedSource(parts)
        #expect(source.byteCount == whole.count)
        #expect(source.readAll(room: 1000) == whole)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let position = Int.random(in: 0..<whole.count, using: &generator)
            let count = Int.random(in: 1...6000, using: &generator)
            let read = source.read(at: position, upTo: count)
            #expect(!read.isEmpty)
            #expect(read == Array(whole[position..<position + read.count]))
        }
        for position in 0..<whole.count {
            #expect(source.read(at: position, upTo: 1) == [whole[position]])
        }
    }

    @Test("A read continues into the next parts while there is room")
    func aReadGoesOnIntoThe() throws {
        let (parts, whole) = parts(lengths: [10, 20, 30])
        let source = try ConcatenatedSource(parts)
        #expect(source.read(at: 5, upTo: 1000) == Array(whole[5...]))
    }

    @Test("A read begins a bounded number of parts")
    func aReadBeginsABoundedNumber() throws {
        let made = Mutex(0)
        let (parts, whole) = parts(lengths: Array(repeating: 1, count: 1000)) { _ in
            made.withLock { $0 += 1 }
        }
        let source = try ConcatenatedSource(parts)
        let read = source.read(at: 0, upTo: 1000)
        #expect(made.withLock { $0 } == read.count)
        #expect(made.withLock { $0 } < 100)
        #expect(source.readAll() == whole)
    }

    @Test("A part is made when it is first read, and only one part is alive at a time")
    func nothingIsMadeBeforeItIs() throws {
        final class Counted: ByteSource {
            nonisolated(unsafe) static var alive = 0
            nonisolated(unsafe) static var mostAlive = 0
            init() {
                Self.alive += 1
                Self.mostAlive = max(Self.mostAlive, Self.alive)
            }
            deinit { Self.alive -= 1 }
            var byteCount: Int { 100 }
            func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
                min(destination.byteCount, byteCount - position)
            }
        }
        var source: ConcatenatedSource? = try ConcatenatedSource(
            (0..<20).map { _ in .init(byteCount: 100) { Counted() } }
        )
        #expect(Counted.alive == 0)
        #expect(source?.readAll(room: 333).count == 2000)
        #expect(Counted.mostAlive == 1)
        source = nil
        #expect(Counted.alive == 0)
    }

    @Test("Sequential reads make each part once")
    func readingOnMakesNoPartTwice() throws {
        let made = Mutex<[Int]>([])
        let (parts, whole) = parts(lengths: [50, 60, 70], readSizes: [13]) { index in
            made.withLock { $0.append(index) }
        }
        let source = try ConcatenatedSource(parts)
        #expect(source.readAll(room: 7) == whole)
        #expect(made.withLock { $0 } == [0, 1, 2])
        _ = source.read(at: 0, upTo: 1)
        #expect(made.withLock { $0 } == [0, 1, 2, 0])
    }

    @Test("Reads outside the body give no bytes")
    func readsOutsideTheBodyGiveNo() throws {
        let source = try ConcatenatedSource([.bytes([1, 2, 3])])
        #expect(source.read(at: 3, upTo: 8).isEmpty)
        #expect(source.read(at: Int.max, upTo: 8).isEmpty)
        #expect(source.read(at: -1, upTo: 8).isEmpty)
        #expect(try ConcatenatedSource([]).read(at: 0, upTo: 8).isEmpty)
        #expect(try ConcatenatedSource([.bytes([])]).byteCount == 0)
    }

    @Test("Parts whose total length exceeds 63 bits are refused")
    func partsPast63BitsAreRefused() {
        let part = ConcatenatedSource.Part(byteCount: Int.max / 2 + 1) { ZeroSource(byteCount: Int.max / 2 + 1) }
        #expect(throws: FormatError.self) { try ConcatenatedSource([part, part]) }
    }
}
