import Foundation

/// One line of `models.jsonl`: layers built in order after one `manual_seed`.
public struct GoldenModel: GoldenVector, CustomStringConvertible {
    public struct Layer: Decodable, Sendable {
        public let type: String
        public let args: [String: GoldenArgument]
    }

    public struct Tensor: Decodable, Sendable {
        public let name: String
        public let shape: [Int]
        public let dtype: String
        public let sha256: String
    }

    public let id: String
    public internal(set) var seed = ""
    public let dtype: String
    public let layers: [Layer]
    public let tensors: [Tensor]
    public let nextRandom31: UInt32

    public var description: String { id }

    enum CodingKeys: String, CodingKey {
        case id, dtype, layers, tensors
        case nextRandom31 = "next_random31"
    }

    /// The models in the order of the file.
    public static let visible: [GoldenModel] = vectors(of: "models.jsonl")
}

/// A keyword argument of a layer's constructor.
public enum GoldenArgument: Decodable, Sendable {
    case none
    case boolean(Bool)
    case integer(Int)
    case number(Double)
    case integers([Int])

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .none
        } else if let boolean = try? container.decode(Bool.self) {
            self = .boolean(boolean)
        } else if let integer = try? container.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else {
            self = .integers(try container.decode([Int].self))
        }
    }
}
