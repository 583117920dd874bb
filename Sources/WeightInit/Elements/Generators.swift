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

/// The words of one draw: a generator, given back at the end, and the position at which the draw starts.
struct DrawWords: ~Copyable {
    let stream: WordStream
    private let start: UInt64
    private let generators: Generators

    init(seed: UInt32, start: UInt64, _ generators: Generators) {
        self.init(generators.take(seed: seed), start: start, generators)
    }

    private init(_ stream: WordStream, start: UInt64, _ generators: Generators) {
        self.stream = stream
        self.start = start
        self.generators = generators
    }

    deinit {
        generators.giveBack(stream)
    }

    /// The words of another draw, which starts `count` words after the start of this one.
    func after(_ count: UInt64) -> DrawWords {
        DrawWords(WordStream(copying: stream), start: start &+ count, generators)
    }

    /// Moves the generator to a word of the draw.
    ///
    /// - Returns: The work that this took, in generator words.
    func seek(to word: UInt64) -> Int {
        stream.seek(to: start &+ word)
    }
}
