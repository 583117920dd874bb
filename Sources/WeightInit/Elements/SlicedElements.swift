/// The elements of a region of another source. Only the generator's blocks that hold these elements are made.
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
        var element = range.lowerBound
        var work = 0
        while element < range.upperBound, work < TensorSource.workPerRead {
            let (run, within) = element.quotientAndRemainder(dividingBy: region.runLength)
            let count = min(region.runLength - within, range.upperBound - element)
            let first = region.firstElement(ofRun: run) + within
            let from = (element - range.lowerBound) * itemSize
            var rest = destination._mutatingExtracting(from..<from + count * itemSize)
            let filled = elements.fill(first..<first + count, into: &rest)
            element += filled.elements
            // Sources count their own seeks; finding the run counts as one word.
            work += filled.work + 1
        }
        return (element - range.lowerBound, work)
    }
}
