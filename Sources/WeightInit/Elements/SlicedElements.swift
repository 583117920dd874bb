/// The elements of a region of another source. Of the generator, only the blocks that they lie in are made.
final class SlicedElements: ElementSource {
    private let elements: any ElementSource
    private let itemSize: Int
    private let region: Region

    init(_ elements: any ElementSource, itemSize: Int, region: Region) {
        self.elements = elements
        self.itemSize = itemSize
        self.region = region
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        // Sources count their seeks; those that have none to make still look for the run.
        range.fill(&destination, itemSize: itemSize, workPerRun: 1) { element in
            let (run, within) = element.quotientAndRemainder(dividingBy: region.runLength)
            return (elements, region.firstElement(ofRun: run) + within, region.runLength - within)
        }
    }
}

extension Range<Int> {
    /// Fills this range of elements run after run, until a read has done its work.
    ///
    /// - Parameters:
    ///   - destination: As that of ``ElementSource/fill(_:into:)``.
    ///   - workPerRun: Work of finding a run.
    ///   - run: The rest of the run that an element lies in: its source, `nil` if nothing is written there, the element's place in
    ///     the source, and the number of elements.
    @inline(__always)
    func fill(
        _ destination: inout MutableRawSpan,
        itemSize: Int,
        workPerRun: Int,
        from run: (_ element: Int) -> (source: (any ElementSource)?, first: Int, count: Int)
    ) -> (elements: Int, work: Int) {
        var element = lowerBound
        var work = 0
        while element < upperBound, work < TensorSource.workPerRead {
            let (source, first, length) = run(element)
            let count = Swift.min(length, upperBound - element)
            let from = (element - lowerBound) * itemSize
            var rest = destination._mutatingExtracting(from..<from + count * itemSize)
            let filled = source?.fill(first..<first + count, into: &rest) ?? (elements: count, work: 0)
            element += filled.elements
            work += filled.work + workPerRun
        }
        return (element - lowerBound, work)
    }
}
