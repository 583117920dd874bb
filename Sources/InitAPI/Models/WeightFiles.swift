internal import ByteText
import TensorFormats
import WeightInit

/// The files that hold a model's weights at one seed, ready to be sent.
struct WeightFiles: Sendable {
    /// One file, or an index and its shards.
    let answers: [(file: WeightFile, answer: Answer)]
    /// Bytes of memory of all files and of the plan that they share.
    let memory: Int

    /// Splits as `save_pretrained` does: tensors in order, and a new file before each tensor that would make a file too
    /// long.
    ///
    /// - Parameter maximumShardBytes: Maximum bytes of the tensors in a file; a larger tensor has a file of its own.
    init(_ model: PlannedModel, _ context: OperationContext) throws(InitError) {
        let planned = try PlannedAnswer(.model(model.members), model.plan, context)
        let shards = model.plan.tensors.ranges(ofAtMost: context.limits.maximumShardBytes)
        guard shards.count > 1 else {
            let answer = try planned.answer(in: .safetensors)
            answers = [(.whole, answer)]
            // The answer counts the plan's literals, too.
            memory = model.need.structureMemory.addingClamped(answer.memory)
            return
        }
        var answers: [(file: WeightFile, answer: Answer)] = []
        var map: [(name: Text, file: Text)] = []
        for (index, answer) in try planned.shards(shards).enumerated() {
            let file = WeightFile.shard(index, of: shards.count)
            answers.append((file, answer))
            map += model.plan.tensors[shards[index]].map { ($0.name, file.name) }
        }
        let index: JSONValue = [
            "metadata": [
                "profile": .string(Release.profile),
                "seed": .string(Text(model.members.seed.description)),
                "total_parameters": .integer(model.plan.parameterCount),
                "total_size": .integer(model.plan.byteCount),
            ],
            "weight_map": .object(
                map.sorted { $0.name < $1.name }.map { JSONValue.Member(name: $0.name, value: .string($0.file)) }
            ),
        ]
        let encodedIndex = index.encoded
        // The headers together have the members of the index, and little else.
        memory = model.need.structureMemory.addingClamped(model.plan.literalByteCount)
            .addingClamped(4 * encodedIndex.count)
        answers.append((.index, Answer(ModelFile(name: WeightFile.index.name, bytes: encodedIndex))))
        self.answers = answers
    }
}

extension [PlannedTensor] {
    /// Ranges of consecutive tensors of at most `limit` bytes each; a larger tensor is alone in its range.
    fileprivate func ranges(ofAtMost limit: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var (start, bytes) = (0, 0)
        for (index, tensor) in enumerated() {
            if index > start, tensor.byteCount > limit - bytes {
                ranges.append(start..<index)
                (start, bytes) = (index, 0)
            }
            bytes += tensor.byteCount
        }
        return start < count || ranges.isEmpty ? ranges + [start..<count] : ranges
    }
}
