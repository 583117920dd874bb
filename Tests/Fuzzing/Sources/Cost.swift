import FuzzCounters
import Glibc

/// The cost of an input, in units that are the same on every machine.
///
/// Cost is counted only if the fuzzer is linked with the counters (`make fuzz SANITIZER=`), not under AddressSanitizer.
struct Cost {
    /// Comparisons in the program's own code.
    var steps: UInt64
    /// Look-ups in Unicode's tables by Swift's library: comparing, hashing or folding a `String` makes some for each
    /// scalar that is not ASCII.
    var unicodeLookups: UInt64
    /// Peak of the bytes held, besides those held before.
    var peakBytes: Int64
    /// Bytes still held.
    var heldBytes: Int64

    /// Calls `body` and returns its cost, `nil` if nothing is counted.
    static func measure<Result>(_ body: () -> Result) -> (result: Result, cost: Cost?) {
        fuzz_counters_reset()
        let result = body()
        let counters = fuzz_counters_read()
        guard fuzz_counters_active() != 0 else { return (result, nil) }
        return (
            result,
            Cost(
                steps: counters.steps,
                unicodeLookups: counters.unicode_lookups,
                peakBytes: counters.peak_bytes,
                heldBytes: counters.held_bytes
            )
        )
    }

    /// Checks the cost against the bounds for an input of this length.
    func require(
        bytes: Int,
        steps allowed: (fixed: UInt64, perByte: UInt64),
        memory: (fixed: Int64, perByte: Int64)? = nil
    ) {
        let allowedSteps = allowed.fixed + allowed.perByte * UInt64(bytes)
        let allowedBytes = memory.map { $0.fixed + $0.perByte * Int64(bytes) } ?? .max
        highest.note(self, bytes: bytes, allowedSteps: allowedSteps, allowedBytes: allowedBytes)
        check(steps <= allowedSteps, "\(steps) steps for \(bytes) bytes, over \(allowedSteps)")
        check(peakBytes <= allowedBytes, "\(peakBytes) bytes held for \(bytes), over \(allowedBytes)")
        check(unicodeLookups == 0, "\(unicodeLookups) look-ups in Unicode's tables for \(bytes) bytes")
    }
}

/// The costliest inputs so far, printed at the end: they show whether the bounds are far too wide.
private struct Highest {
    private var steps = (share: 0.0, cost: 0 as UInt64, bytes: 0)
    private var memory = (share: 0.0, cost: 0 as Int64, bytes: 0)
    private var isPrinted = false

    mutating func note(_ cost: Cost, bytes: Int, allowedSteps: UInt64, allowedBytes: Int64) {
        if !isPrinted {
            isPrinted = true
            atexit { highest.print() }
        }
        let share = (
            steps: Double(cost.steps) / Double(allowedSteps), memory: Double(cost.peakBytes) / Double(allowedBytes)
        )
        if share.steps > steps.share { steps = (share.steps, cost.steps, bytes) }
        if share.memory > memory.share { memory = (share.memory, cost.peakBytes, bytes) }
    }

    private func print() {
        let (stepPercent, memoryPercent) = (Int(100 * steps.share), Int(100 * memory.share))
        Swift.print("cost: at most \(stepPercent) % of the steps allowed: \(steps.cost) for \(steps.bytes) bytes")
        Swift.print("cost: at most \(memoryPercent) % of the memory allowed: \(memory.cost) for \(memory.bytes) bytes")
    }
}

// libFuzzer calls from one thread.
nonisolated(unsafe) private var highest = Highest()
