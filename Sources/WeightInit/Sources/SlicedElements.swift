/// The elements of a block of another source, of which only the blocks of the generator are made that they lie in.
final class SlicedElements: ElementSource {
    private let elements: any ElementSource
    private let itemSize: Int
    private let block: Block

    init(_ elements: any ElementSource, itemSize: Int, block: Block) {
        self.elements = elements
        self.itemSize = itemSize
        self.block = block
    }

    func fill(_ range: Range<Int>, into destination: inout MutableRawSpan) -> (elements: Int, work: Int) {
        var element = range.lowerBound
        var work = 0
        while element < range.upperBound, work < TensorSource.workPerRead {
            let (run, within) = element.quotientAndRemainder(dividingBy: block.runLength)
            let count = min(block.runLength - within, range.upperBound - element)
            let first = block.firstElement(ofRun: run) + within
            let from = (element - range.lowerBound) * itemSize
            var rest = destination._mutatingExtracting(from..<from + count * itemSize)
            let filled = elements.fill(first..<first + count, into: &rest)
            element += filled.elements
            // Sources count their seeks; those that have none to make still look for the run.
            work += filled.work + 1
        }
        return (element - range.lowerBound, work)
    }
}
