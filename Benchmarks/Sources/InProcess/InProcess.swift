import ByteSource
import ByteText
import Dispatch
import Glibc
import TensorFormats
import WeightInit

/// The service's side of measurements in process: reads one command per line and prints the seconds it took.
///
///     tensor METHOD DTYPE SHAPE THREADS    plan and source of a tensor, written to memory that is already allocated
///     numbers ELEMENTS                     float32 normals to JSON text, generation included
@main
struct InProcess {
    static func main() throws {
        var worker = Worker()
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("tensor", 5): print(try worker.make(words[1], dtype: words[2], shape: words[3], threads: words[4]))
            case ("numbers", 2): print(try worker.write(elements: words[1]))
            default: throw Misuse(command: line)
            }
            // The benchmark waits for the answer. All streams, because C's `stdout` is shared mutable state to Swift.
            fflush(nil)
        }
    }
}

struct Misuse: Error {
    var command: String
}

/// Runs commands with memory for tensors that is kept from one command to the next.
struct Worker {
    private var memory = Memory(byteCount: 0)

    mutating func make(_ method: String, dtype: String, shape: String, threads: String) throws -> Double {
        guard let method = InitMethod.named(Text(method)), let dtype = DType(rawValue: dtype),
            let threads = Int(threads),
            threads > 0
        else {
            throw Misuse(command: "\(method) \(dtype) \(threads)")
        }
        let shape = try Shape(shape.split(separator: ",").map { Int($0) ?? -1 })
        let byteCount = shape.elementCount * dtype.itemSize
        if memory.byteCount != byteCount {
            memory = Memory(byteCount: 0)
            memory = Memory(byteCount: byteCount)
        }
        // For a decomposition, this is the number of threads that share the work.
        LinearAlgebra.setThreadLimit(threads)
        var arguments = Arguments()
        if method.name == "constant" { arguments["value"] = .number(0.5) }
        if method.name == "sparse" { arguments["sparsity"] = .number(0.1) }
        let request = TensorRequest(method: method, shape: shape, dtype: dtype, arguments: arguments)

        let start = ContinuousClock.now
        let plan = try Plan(request, seed: Seed(UInt64(42))).prepared()
        memory.fill(with: plan, threads: threads)
        return seconds(since: start)
    }

    mutating func write(elements: String) throws -> Double {
        let shape = try Shape([Int(elements) ?? -1])
        if memory.byteCount != 1 << 20 { memory = Memory(byteCount: 1 << 20) }

        let start = ContinuousClock.now
        let plan = try Plan(TensorRequest(method: .named("normal"), shape: shape), seed: Seed(UInt64(42))).prepared()
        let text = JSONTensorStream(prefix: [], source: plan.makeSource(), shape: shape, dtype: .float32)
        while memory.read(from: text) != nil {}
        return seconds(since: start)
    }

    private func seconds(since start: ContinuousClock.Instant) -> Double {
        (ContinuousClock.now - start) / .seconds(1)
    }
}

/// Memory that has been touched, so that page faults are not measured.
///
/// Sendable because threads write to parts of it that do not overlap.
final class Memory: @unchecked Sendable {
    let byteCount: Int
    private let start: UnsafeMutableRawPointer

    init(byteCount: Int) {
        self.byteCount = byteCount
        start = .allocate(byteCount: max(byteCount, 1), alignment: 64)
        start.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }

    deinit { start.deallocate() }

    func read(from stream: any ByteStream) -> Int? {
        var room = UnsafeMutableRawBufferPointer(start: start, count: byteCount).mutableBytes
        return stream.read(into: &room)
    }

    /// Writes a plan's first tensor. Each thread writes its share through its own source.
    func fill(with plan: PreparedPlan, threads: Int) {
        // A block of normals of the widest type, so that no two threads make the same block.
        let unit = 128
        let share = (byteCount / unit + threads - 1) / threads * unit
        guard threads > 1 else {
            fill(0..<byteCount, from: plan.makeSource())
            return
        }
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            let first = min(thread * share, byteCount)
            fill(first..<(thread == threads - 1 ? byteCount : min(first + share, byteCount)), from: plan.makeSource())
        }
    }

    private func fill(_ range: Range<Int>, from source: any ByteSource) {
        var position = range.lowerBound
        while position < range.upperBound {
            let rest = UnsafeMutableRawBufferPointer(start: start + position, count: range.upperBound - position)
            var room = rest.mutableBytes
            position += source.read(at: position, into: &room)
        }
    }
}
