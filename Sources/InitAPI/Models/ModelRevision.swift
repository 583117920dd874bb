package import ByteText
package import WeightInit

/// A revision of a model's repository: the seed of its weights.
package struct ModelRevision: Sendable, Equatable {
    /// From 0 to 2^64 − 1.
    package let seed: Seed
    /// 40 hexadecimal digits: 24 of a digest of everything but the seed that decides the bytes of the files, 16 of the
    /// seed.
    package let commit: Text
    /// `true` if the client named the commit, whose files never change.
    package let isCommit: Bool

    /// A revision as a client writes it: `main`, `seed-42` or a commit.
    ///
    /// - Parameter maximumShardBytes: Decides how the weights are split into files.
    /// - Returns: `nil` for anything else, and for the commit of other contents.
    init?(_ text: Text, of model: CatalogueModel, maximumShardBytes: Int) {
        let contents = Identity(
            of: "commit",
            model.name,
            model.digest,
            Release.profile,
            PlannedAnswer.encoderRevision,
            Text(maximumShardBytes)
        )
        let prefix = Text(decoding: Array(contents.digest.utf8.prefix(24)))
        let bits: UInt64
        if text == "main" {
            bits = model.seed.bits
        } else if let decimal = text.removing(prefix: "seed-"), let seed = try? Seed(decimal: decimal) {
            bits = seed.bits
        } else if let digits = text.removing(prefix: prefix), let number = UInt64(digits.description, radix: 16) {
            bits = number
        } else {
            return nil
        }
        seed = Seed(bits)
        let digits = String(bits, radix: 16)
        commit = prefix + Text(String(repeating: "0", count: 16 - digits.utf8.count) + digits)
        isCommit = commit == text
        guard isCommit || !text.hasPrefix(prefix) else { return nil }
    }
}
