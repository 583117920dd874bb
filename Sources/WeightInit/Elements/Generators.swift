internal import TorchRandom

/// Generators that one tensor of a body passes on to the next.
///
/// The next tensor mostly begins where the last one ended. Continuing there costs less than seeding another generator
/// and skipping all that was drawn before. Used by one thread at a time.
public final class Generators {
    /// The unused generator with the furthest position.
    private var spare: WordStream?

    public init() {}

    /// Returns a generator with a seed, at an arbitrary position.
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
