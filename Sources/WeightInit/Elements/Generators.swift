internal import TorchRandom

/// Generators that the tensors of a body hand on, one after the other.
///
/// The next tensor mostly begins where the last one ended. Moving on from there costs less than seeding another generator
/// and passing over all that was drawn before. Used by one thread at a time.
public final class Generators {
    /// The one that has come furthest of those that nobody uses.
    private var spare: WordStream?

    public init() {}

    /// A generator with a seed, at any position.
    func take(seed: UInt32) -> WordStream {
        guard let stream = spare, stream.seed == seed else { return WordStream(seed: seed) }
        spare = nil
        return stream
    }

    /// Takes back a generator that nobody uses any more.
    func giveBack(_ stream: WordStream) {
        if let spare, spare.seed == stream.seed, spare.position > stream.position { return }
        spare = stream
    }
}
