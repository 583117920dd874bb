import ByteText
import ByteSource
import SHA2
import Glibc
import InitAPI
import WeightInit

/// A request, and the tensor that PyTorch has made for it.
struct VerificationVector {
    enum Expectation {
        /// The SHA-256 of the elements' bytes, in hexadecimal.
        case digest(String)
        /// The elements, and the largest distance that each may have.
        case elements([Double], tolerance: Double)
    }

    /// Query of the request, as in a URL.
    let query: String
    let members: [(name: Text, text: Text)]
    let expectation: Expectation
    /// Origin of the expected tensor, for messages.
    let maker: String

    var method: String { value(of: "method") }
    var dtype: String { value(of: "dtype") }

    private func value(of name: Text) -> String {
        members.first { $0.name == name }?.text.description ?? ""
    }

    /// Reads vectors, one on a line; lines that begin with # are comments.
    static func parse(
        _ bytes: [UInt8],
        of file: String,
        madeBy maker: String = "PyTorch's"
    ) throws(Failure) -> [VerificationVector] {
        var vectors: [VerificationVector] = []
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty && line.first != "#" {
            guard let vector = VerificationVector(line, madeBy: maker) else {
                throw Failure("\(file), line \(index + 1): not a query and a digest, or a tolerance and elements")
            }
            vectors.append(vector)
        }
        guard !vectors.isEmpty else { throw Failure("\(file): there are no vectors") }
        return vectors
    }

    private init?(_ line: Substring, madeBy maker: String) {
        self.maker = maker
        let words = line.split(separator: " ")
        guard let query = words.first else { return nil }
        self.query = String(query)
        members = query.split(separator: "&").map { member in
            let halves = member.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Text(halves[0]), halves.count > 1 ? Text(halves[1]) : "")
        }
        switch words.count {
        case 2 where words[1].count == 64:
            expectation = .digest(String(words[1]))
        case 3:
            let isDouble = members.contains { $0.name == "dtype" && $0.text == "float64" }
            guard let tolerance = Double(words[1]), let elements = [Double](hexadecimal: words[2], isDouble: isDouble)
            else { return nil }
            expectation = .elements(elements, tolerance: tolerance)
        default:
            return nil
        }
    }

    /// Makes the tensor and compares it.
    ///
    /// - Returns: The difference from the expected tensor, if there is one, and the time that it took to make the
    ///   tensor.
    func check(_ operations: OperationContext) throws -> (difference: String?, time: Duration) {
        let clock = ContinuousClock()
        var body = AnswerBody.bytes([])
        var time = try clock.measure {
            body = try operations.answer(.initialize, members + [("format", "raw")]).body()
        }
        var hash = SHA256()
        var worst = 0.0
        var position = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        if case .source(let source) = body {
            while position < source.byteCount {
                var count = 0
                time += clock.measure {
                    var room = buffer.mutableSpan
                    var bytes = room.mutableBytes
                    count = source.read(at: position, into: &bytes)
                }
                hash.update(data: buffer[..<count])
                if case .elements(let elements, _) = expectation {
                    worst = distance(of: buffer[..<count], at: position, from: elements, worst)
                }
                position += count
            }
        }
        switch expectation {
        case .digest(let expected):
            let made = hash.finalize().description
            return (made == expected ? nil : "the SHA-256 is \(made), \(maker) \(expected)", time)
        case .elements(let elements, let tolerance):
            guard position == elements.count * itemSize else { return ("there are \(position) bytes", time) }
            return (worst <= tolerance ? nil : "an element is \(worst) from PyTorch's, more than \(tolerance)", time)
        }
    }

    private var itemSize: Int { dtype == "float64" ? 8 : 4 }

    /// The largest distance of an element; infinite for NaN, and for more elements than expected.
    private func distance(of bytes: ArraySlice<UInt8>, at position: Int, from elements: [Double], _ worst: Double)
        -> Double
    {
        var worst = worst
        for (index, value) in [Double](littleEndian: bytes, isDouble: itemSize == 8).enumerated() {
            let place = position / itemSize + index
            guard elements.indices.contains(place) else { return .infinity }
            let distance = abs(value - elements[place])
            worst = distance.isNaN ? .infinity : max(worst, distance)
        }
        return worst
    }
}

extension [Double] {
    /// Floating-point numbers from their bytes in memory.
    fileprivate init(littleEndian bytes: some Collection<UInt8>, isDouble: Bool) {
        let size = isDouble ? 8 : 4
        var bits: [UInt64] = []
        for (index, byte) in bytes.enumerated() {
            if index % size == 0 { bits.append(0) }
            bits[bits.count - 1] |= UInt64(byte) << (8 * UInt64(index % size))
        }
        self = bits.map {
            isDouble ? Double(bitPattern: $0) : Double(Float(bitPattern: UInt32(truncatingIfNeeded: $0)))
        }
    }

    fileprivate init?(hexadecimal text: Substring, isDouble: Bool) {
        let digits = text.compactMap(\.hexDigitValue)
        guard digits.count == text.count, digits.count % (isDouble ? 16 : 8) == 0 else { return nil }
        let bytes = stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        self.init(littleEndian: bytes, isDouble: isDouble)
    }
}
