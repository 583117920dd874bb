internal import ByteText
public import ByteSource
public import SHA2
public import WeightInit

/// Statistics of a tensor's numbers.
///
/// Mean, standard deviation, minimum, maximum and histogram cover the finite numbers. They are computed in float64 in a
/// fixed order, so that they are the same on every processor.
public struct TensorSummary: Sendable, Equatable {
    public let shape: Shape
    public let dtype: DType
    public let zeroCount: Int
    /// Infinities and NaN.
    public let nonFiniteCount: Int
    /// `nil` if there is no finite number.
    public let mean: Double?
    /// The unbiased standard deviation, divided by n − 1 like PyTorch's `std()`; `nil` for fewer than two finite
    /// numbers.
    public let std: Double?
    public let min: Double?
    public let max: Double?
    /// SHA-256 of the elements in the `raw` format.
    public let sha256: SHA256.Digest
    /// `nil` if there is no finite number.
    public let histogram: Histogram?

    /// Counts of numbers in bins of equal width.
    public struct Histogram: Sendable, Equatable {
        public static let binCount = 32

        /// Edges of the bins, one more than there are bins. A bin includes its lower edge, and the last bin its upper
        /// edge as well.
        public let edges: [Double]
        public let counts: [Int]
        /// Finite numbers outside the edges; 0 if the edges were computed from the numbers.
        public let below: Int
        public let above: Int
    }

    /// Reads a source from its start, twice if no range is given, in memory that does not depend on its length.
    ///
    /// - Parameters:
    ///   - source: The elements, little-endian and row-major.
    ///   - range: Range of the histogram. Without one, or if it is not finite, the histogram reaches from the least to
    ///     the greatest number. A range of a single number is widened by ½ on either side, as NumPy does.
    ///   - isCancelled: Called at least every 64 KiB.
    /// - Returns: `nil` when cancelled.
    public static func compute(
        _ source: any ByteSource,
        shape: Shape,
        dtype: DType,
        range: ClosedRange<Double>? = nil,
        isCancelled: () -> Bool = { false }
    ) -> TensorSummary? {
        compute(dtype.element, source, shape, dtype, range, isCancelled)
    }

    // The types of nearly all tensors. Code that is compiled once for all types makes a call for every number.
    @_specialize(where Element == Float32Element)
    @_specialize(where Element == Float64Element)
    @_specialize(where Element == Float16Element)
    @_specialize(where Element == BFloat16Element)
    private static func compute<Element: TensorElement>(
        _ element: Element.Type,
        _ source: any ByteSource,
        _ shape: Shape,
        _ dtype: DType,
        _ range: ClosedRange<Double>?,
        _ isCancelled: () -> Bool
    ) -> TensorSummary? {
        var hash = SHA256()
        var moments = Moments()
        var zeroCount = 0
        var nonFiniteCount = 0
        var bins = range.flatMap(Bins.init)
        let hadRange = bins != nil
        let isComplete = forEachChunk(of: source, as: element, isCancelled) { bits, finite, count in
            // Unsafe because the digest takes a part of this buffer in no other form.
            bits.withUnsafeBytes { bytes in
                let part = bytes.prefix(count * Element.Bits.bitWidth / 8)
                hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: part))
            }
            nonFiniteCount += count - finite.count
            for value in finite where value == 0 { zeroCount += 1 }
            moments.add(finite)
            bins?.add(finite)
        }
        guard isComplete else { return nil }
        if !hadRange, moments.count > 0 {
            bins = Bins(moments.min...moments.max)
            guard forEachChunk(of: source, as: element, isCancelled, { _, finite, _ in bins?.add(finite) }) else {
                return nil
            }
        }
        let hasFinite = moments.count > 0
        return TensorSummary(
            shape: shape,
            dtype: dtype,
            zeroCount: zeroCount,
            nonFiniteCount: nonFiniteCount,
            mean: hasFinite ? moments.mean : nil,
            std: moments.std,
            min: hasFinite ? moments.min : nil,
            max: hasFinite ? moments.max : nil,
            sha256: hash.finalize(),
            histogram: hasFinite ? bins?.histogram : nil
        )
    }

    /// Passes the elements on in chunks of a fixed size, except the last chunk, whatever sizes the source's reads have.
    ///
    /// - Parameter body: Receives the bits, the finite numbers among them, and the number of valid elements in the
    ///   bits.
    private static func forEachChunk<Element: TensorElement>(
        of source: any ByteSource,
        as element: Element.Type,
        _ isCancelled: () -> Bool,
        _ body: (_ bits: [Element.Bits], _ finite: ArraySlice<Double>, _ count: Int) -> Void
    ) -> Bool {
        let itemSize = Element.Bits.bitWidth / 8
        var bits = [Element.Bits](repeating: 0, count: Swift.min(64 << 10, source.byteCount) / itemSize)
        var values = [Double](repeating: 0, count: bits.count)
        var position = 0
        while position < source.byteCount {
            let wanted = Swift.min(bits.count * itemSize, source.byteCount - position)
            var filled = 0
            while filled < wanted {
                guard !isCancelled() else { return false }
                var elements = bits.mutableSpan
                var bytes = elements.mutableBytes
                var room = bytes._mutatingExtracting(filled..<wanted)
                filled += source.read(at: position + filled, into: &room)
            }
            position += wanted
            let count = wanted / itemSize
            var finiteCount = 0
            for index in 0..<count {
                let value = Element.value(Element.Bits(littleEndian: bits[index]))
                values[finiteCount] = value
                finiteCount &+= value.isFinite ? 1 : 0
            }
            body(bits, values[..<finiteCount], count)
        }
        return true
    }

    /// Appends the members to an object that has been begun: `shape`, `dtype`, `elements`, `zeros`, `nonfinite`,
    /// `mean`, `std`, `min`, `max`, `sha256` in hexadecimal, and `histogram` with `edges`, `counts`, `below` and
    /// `above`.
    public func writeMembers(to writer: inout JSONWriter) {
        writer.member("shape", shape)
        writer.member("dtype", dtype)
        writer.member("elements", shape.elementCount)
        writer.member("zeros", zeroCount)
        writer.member("nonfinite", nonFiniteCount)
        writer.member("mean", mean)
        writer.member("std", std)
        writer.member("min", min)
        writer.member("max", max)
        writer.member("sha256", sha256.description)
        writer.member("histogram", histogram)
    }
}

extension TensorSummary.Histogram: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("edges", edges)
            writer.member("counts", counts)
            writer.member("below", below)
            writer.member("above", above)
        }
    }
}

/// Mean and sum of squared deviations, chunk by chunk.
///
/// Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
private struct Moments {
    private(set) var count = 0
    private(set) var mean = 0.0
    private var squares = 0.0
    private(set) var min = Double.infinity
    private(set) var max = -Double.infinity

    var std: Double? {
        count > 1 ? (squares / Double(count - 1)).squareRoot() : nil
    }

    mutating func add(_ values: ArraySlice<Double>) {
        guard let first = values.first else { return }
        var low = min
        var high = max
        for value in values {
            low = value < low ? value : low
            high = value > high ? value : high
        }
        // Adding 0 turns −0 into 0, so that the result does not depend on which of the two came first.
        min = low + 0
        max = high + 0

        let chunkCount = Double(values.count)
        // Relative to the first number, so that the mean of equal numbers is exact and their deviation is 0.
        let chunkMean = first + Self.sum(values) { $0 - first } / chunkCount
        let chunkSquares = Self.sum(values) { value in
            let deviations = value - chunkMean
            return deviations * deviations
        }
        let total = Double(count) + chunkCount
        let difference = chunkMean - mean
        squares += chunkSquares + difference * difference * (Double(count) * chunkCount / total)
        mean += difference * (chunkCount / total)
        count += values.count
    }

    /// Eight sums side by side, added up at the end.
    @inline(__always)
    private static func sum(
        _ values: ArraySlice<Double>,
        of transform: (SIMD8<Double>) -> SIMD8<Double>
    ) -> Double {
        var sums = SIMD8<Double>()
        var index = values.startIndex
        while index + 8 <= values.endIndex {
            sums += transform(SIMD8(values[index..<index + 8]))
            index += 8
        }
        var result = 0.0
        for lane in sums.indices { result += sums[lane] }
        while index < values.endIndex {
            result += transform(SIMD8(repeating: values[index]))[0]
            index += 1
        }
        return result
    }
}

/// Bins of equal width, with the edges of `numpy.linspace` and the counts of `numpy.histogram`.
private struct Bins {
    private let edges: [Double]
    private var counts = [Int](repeating: 0, count: TensorSummary.Histogram.binCount)
    private var below = 0
    private var above = 0

    init?(_ range: ClosedRange<Double>) {
        guard range.lowerBound.isFinite, range.upperBound.isFinite else { return nil }
        let isSingle = range.lowerBound == range.upperBound
        let low = isSingle ? range.lowerBound - 0.5 : range.lowerBound
        let high = isSingle ? range.upperBound + 0.5 : range.upperBound
        let binCount = TensorSummary.Histogram.binCount
        let width = (high - low) / Double(binCount)
        edges = (0...binCount).map { index in
            guard index < binCount else { return high }
            // The difference between distant float64 numbers can overflow.
            let fraction = Double(index) / Double(binCount)
            return width.isFinite ? low + Double(index) * width : low * (1 - fraction) + high * fraction
        }
    }

    mutating func add(_ values: ArraySlice<Double>) {
        let binCount = TensorSummary.Histogram.binCount
        let (low, high) = (edges[0], edges[binCount])
        let width = edges[1] - low
        let scale = width > 0 && (1 / width).isFinite ? 1 / width : 0
        for value in values {
            guard value >= low else {
                below += 1
                continue
            }
            guard value <= high else {
                above += 1
                continue
            }
            let offset = (value - low) * scale
            // An estimate, which the loops below correct: the edges decide. The comparison is false after an overflow,
            // too.
            var bin = offset < Double(binCount - 1) ? Int(offset) : binCount - 1
            while bin > 0, value < edges[bin] { bin -= 1 }
            while bin < binCount - 1, value >= edges[bin + 1] { bin += 1 }
            counts[bin] += 1
        }
    }

    var histogram: TensorSummary.Histogram {
        TensorSummary.Histogram(edges: edges, counts: counts, below: below, above: above)
    }
}
