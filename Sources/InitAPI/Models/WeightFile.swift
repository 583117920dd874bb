internal import ByteText

/// A file of weights in a repository, by its name.
enum WeightFile: Equatable {
    /// All tensors.
    case whole
    /// The index, which names the shard of each tensor.
    case index
    /// One of several files, counted from 0.
    case shard(Int, of: Int)

    /// - Returns: `nil` if the name is not the name of a file of weights.
    init?(name: Text) {
        switch name {
        case "model.safetensors": self = .whole
        case "model.safetensors.index.json": self = .index
        default:
            guard
                let numbers = name.removing(prefix: "model-")?.removing(suffix: ".safetensors")?.split(separator: "-"),
                numbers.count == 3, numbers[1] == "of",
                let number = Int(numbers[0].description), let count = Int(numbers[2].description), count > 0
            else { return nil }
            guard (1...count).contains(number) else { return nil }
            self = .shard(number - 1, of: count)
            guard self.name == name else { return nil }
        }
    }

    var name: Text {
        switch self {
        case .whole: "model.safetensors"
        case .index: "model.safetensors.index.json"
        case .shard(let index, let count):
            "model-\(Self.digits(index + 1))-of-\(Self.digits(count)).safetensors"
        }
    }

    /// The number with at least five digits.
    private static func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 5 - text.utf8.count)) + text
    }
}
