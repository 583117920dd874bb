public import Foundation

/// One line of `cases.jsonl`: a call of PyTorch and its result.
///
/// `visible/README.txt` describes the members.
public struct GoldenCase: GoldenVector, CustomStringConvertible {
    public enum Kind: String, Decodable, Sendable {
        case `init`, sequence, error, gain, randperm, raw
        case seedError = "seed_error"
    }

    public enum Comparison: String, Decodable, Sendable {
        case bits, tolerance
    }

    /// A step of a sequence: one call on a generator that is not reseeded in between.
    public struct Step: Decodable, Sendable {
        public let method: String
        public let shape: [Int]
        public let dtype: String
        public let params: [String: GoldenParameter]
        public let sha256: String
    }

    public let id: String
    public let kind: Kind
    /// The seed's text in the file, because it may exceed every integer type.
    public internal(set) var seed = ""
    public let method: String?
    public let params: [String: GoldenParameter]?
    public let shape: [Int]?
    public let dtype: String?
    public let sha256: String?
    public let nextRandom31: UInt32?
    public let compare: Comparison?
    public let absoluteTolerance: Double?
    public let npy: String?
    public let steps: [Step]?
    public let errorType: String?
    public let errorMessage: String?
    public let nonlinearity: String?
    public let param: Double?
    public let gainHex: String?
    /// Length of a permutation.
    public let n: Int?
    public let wordCount: Int?

    public var description: String { id }

    enum CodingKeys: String, CodingKey {
        case nextRandom31 = "next_random31"
        case absoluteTolerance = "abs_tol"
        case id, kind, method, params, shape, dtype, sha256, compare, npy, steps, nonlinearity, param, n
        case errorType = "error_type"
        case errorMessage = "error_message"
        case gainHex = "value_hex"
        case wordCount = "n_words"
    }

    /// The cases in the order of the file.
    public static let visible: [GoldenCase] = vectors(of: "cases.jsonl")
}

/// A keyword argument of the call.
public enum GoldenParameter: Decodable, Sendable {
    case integer(Int)
    case number(Double)
    case text(String)

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let integer = try? container.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }
}

/// Directory of the vectors.
public let goldenDirectory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "visible")

/// A line of a file of vectors.
protocol GoldenVector: Decodable, Sendable {
    /// The seed's text in the file.
    var seed: String { get set }
}

func vectors<Vector: GoldenVector>(of file: String) -> [Vector] {
    do {
        let text = try String(contentsOf: goldenDirectory.appending(path: file), encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            var vector = try JSONDecoder().decode(Vector.self, from: Data(line.utf8))
            if let match = line.firstMatch(of: /"seed": (-?[0-9]+)/) { vector.seed = String(match.1) }
            return vector
        }
    } catch {
        fatalError("\(file) cannot be read: \(error)")
    }
}

/// Reads the NumPy file of a float matrix, which the vectors with a tolerance refer to.
public func readFloats(npy file: String) throws -> [Double] {
    let data = try Data(contentsOf: goldenDirectory.appending(path: file))
    let headerLength = Int(data[8]) | Int(data[9]) << 8
    let header = String(decoding: data[10..<10 + headerLength], as: UTF8.self)
    let body = Array(data[(10 + headerLength)...])
    let isDouble = header.contains("<f8")
    let size = isDouble ? 8 : 4
    return stride(from: 0, to: body.count, by: size).map { offset in
        let bits = body[offset..<offset + size].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return isDouble ? Double(bitPattern: bits) : Double(Float(bitPattern: UInt32(bits)))
    }
}
