internal import ByteText
import ByteSource
import Synchronization
package import WeightInit

/// Counts the bytes of tensors as they are made, by method and element type.
package final class Production: Sendable {
    private let counters: [Text: [DType: Counter]]

    init() {
        counters = Dictionary(
            uniqueKeysWithValues: InitMethod.all.map { method in
                (method.name, Dictionary(uniqueKeysWithValues: DType.allCases.map { ($0, Counter()) }))
            }
        )
    }

    /// Bytes of all tensors made so far by a method in an element type.
    package func byteCount(of method: InitMethod, _ dtype: DType) -> Int {
        counters[method.name]?[dtype]?.value ?? 0
    }

    fileprivate func counter(of tensor: PlannedTensor, in plan: Plan) -> Counter? {
        plan.method(of: tensor).flatMap { counters[$0]?[tensor.dtype] }
    }
}

/// A number that only grows and to which any thread can add.
package final class Counter: Sendable {
    private let count = Atomic(0)

    package init() {}

    package var value: Int { count.load(ordering: .relaxed) }

    /// Wraps around at the end of its range, which a scraper handles like a restart.
    package func add(_ amount: Int = 1) {
        count.wrappingAdd(amount, ordering: .relaxed)
    }
}

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
}

extension PreparedPlan {
    /// The bytes of a tensor, counted as they are made.
    ///
    /// - Parameter generators: Shared by the tensors of a body.
    func makeSource(
        _ tensor: Int = 0,
        _ generators: Generators = Generators(),
        countedBy production: Production
    ) -> any ByteSource {
        let source = makeSource(tensor, generators)
        guard plan.tensors.indices.contains(tensor),
            let counter = production.counter(of: plan.tensors[tensor], in: plan)
        else {
            return source
        }
        return CountedSource(source, counter)
    }
}
