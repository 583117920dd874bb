import ByteText
import Foundation
import Testing

@testable import WeightInit

/// A line of `ModelVectors/steps.jsonl`: a request, and the digests of the tensors that PyTorch makes for it.
struct StepVector: Sendable, CustomTestStringConvertible {
    struct Tensor: Sendable {
        let dtype: DType
        let shape: [Int]
        let digest: String
    }

    let line: Int
    let request: ModelRequest
    let seed: Seed
    let tensors: [Text: Tensor]

    var testDescription: String { "line \(line)" }

    static func all(_ file: String) throws -> [StepVector] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../ModelVectors")
        let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
        return try text.split(separator: "\n").enumerated().map { index, line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
            let seed = try #require(object["seed"] as? Int)
            let given = try #require(object["request"] as? [String: Any])
            let tensors = try #require(object["tensors"] as? [String: [Any]])
            return StepVector(
                line: index + 1,
                request: try ModelRequest(json: given),
                seed: Seed(UInt64(seed)),
                tensors: Dictionary(
                    uniqueKeysWithValues: try tensors.map { name, fields in
                        let dtype = try #require(givenDType(fields[0]))
                        let shape = try #require(fields[1] as? [Int])
                        return (
                            Text(name), Tensor(dtype: dtype, shape: shape, digest: try #require(fields[2] as? String))
                        )
                    }
                )
            )
        }
    }
}

extension ModelRequest {
    /// Parses a request, as far as the vectors of steps need it.
    init(json: [String: Any]) throws {
        self.init(
            form: .tensors,
            entries: try (json["tensors"] as? [[String: Any]] ?? []).map { entry in
                let name = try #require(entry["name"] as? String)
                let dimensions = try #require(entry["shape"] as? [Int])
                var made = ModelEntry(
                    name: Text(name),
                    content: .parameter(
                        TensorRequest(
                            method: (entry["method"] as? String).flatMap { InitMethod.namedForSteps(Text($0)) },
                            shape: try Shape(dimensions),
                            dtype: givenDType(entry["dtype"]) ?? .float32,
                            arguments: try givenArguments(entry, ofMethod: entry["method"]),
                            isPersistent: entry["persistent"] as? Bool ?? true
                        )
                    )
                )
                made.cast = givenDType(entry["cast"])
                return made
            }
        )
        steps = try (json["steps"] as? [[String: Any]] ?? []).map(Step.init(json:))
        cast = givenDType(json["cast"])
        include = (json["include"] as? [String] ?? []).map { Glob(Text($0)) }
    }
}

extension Step {
    fileprivate init(json: [String: Any]) throws {
        let target: Target
        if let given = json["tensor"] {
            let names = try #require(given as? [String] ?? (given as? String).map { [$0] })
            let slice = try (json["slice"] as? String).map { try Slice(Text($0), allowsIndices: true) }
            target = .tensors(names.map { Text($0) }, slice: slice)
        } else {
            let dimensions = try #require(json["shape"] as? [Int])
            target = .discarded(shape: try Shape(dimensions), dtype: givenDType(json["dtype"]) ?? .float32)
        }
        let name = try #require(json["method"] as? String)
        let method = try #require(Method.named(Text(name)))
        self.init(target, method: method, arguments: try givenArguments(json, ofMethod: json["method"]))
    }
}

private func givenDType(_ json: Any?) -> DType? {
    (json as? String).flatMap { DType(rawValue: $0) }
}

private func givenArguments(_ json: [String: Any], ofMethod name: Any?) throws -> Arguments {
    guard let name = name as? String else { return Arguments() }
    let method = try #require(Step.Method.named(Text(name)))
    var arguments = Arguments()
    for parameter in method.parameters {
        guard let value = json[parameter.name.description] else { continue }
        switch (parameter.kind, value) {
        case (.number, let text as String), (.scalar, let text as String):
            arguments[parameter.name] = .number(text == "inf" ? .infinity : -.infinity)
        case (_, let text as String): arguments[parameter.name] = .text(Text(text))
        case (.integer, let number as NSNumber): arguments[parameter.name] = .integer(number.intValue)
        case (.scalar, let number as NSNumber) where number.int64Value.magnitude > 1 << 53:
            arguments[parameter.name] = .integer(number.intValue)
        case (_, let number as NSNumber): arguments[parameter.name] = .number(try #require(Double(number.stringValue)))
        default: Issue.record("\(parameter.name) is \(value)")
        }
    }
    return arguments
}
