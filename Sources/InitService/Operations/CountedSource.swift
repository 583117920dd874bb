import ByteSource
import WeightInit

/// A source whose bytes are counted as they are made.
private final class CountedSource: ByteSource {
    private let source: any ByteSource
    private let counter: Counter

    init(_ source: any ByteSource, _ counter: Counter) {
        self.source = source
        self.counter = counter
    }

    var byteCount: Int { source.byteCount }

    func read(at position: Int, into destination: inout MutableRawSpan) -> Int {
        let count = source.read(at: position, into: &destination)
        counter.add(count)
        return count
    }

    func makeTwin() -> (any ByteSource)? {
        source.makeTwin().map { CountedSource($0, counter) }
    }
}

extension PreparedPlan {
    /// The bytes of a tensor, counted as they are made.
    func makeSource(_ tensor: Int = 0, countedBy metrics: ServiceMetrics) -> any ByteSource {
        let source = makeSource(tensor)
        guard plan.tensors.indices.contains(tensor), let counter = metrics.madeBytes(of: plan.tensors[tensor]) else {
            return source
        }
        return CountedSource(source, counter)
    }
}
