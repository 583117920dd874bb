import Testing
import TorchRandom

@Suite("A stream of words")
struct WordStreamTests {
    @Test(
        "A stream starts as PyTorch's generator does",
        arguments: [
            (42, [1_608_637_542, 3_421_126_067, 4_083_286_876, 787_846_414, 3_143_890_026]),
            (0, [2_357_136_044, 2_546_248_239, 3_071_714_933, 3_626_093_760, 2_588_848_963]),
        ] as [(UInt32, [UInt32])]
    )
    func firstWords(seed: UInt32, words: [UInt32]) {
        let stream = WordStream(seed: seed)
        #expect(words.map { _ in stream.next() } == words)
        #expect(stream.position == UInt64(words.count))
    }

    @Test("A position has the same word after any sequence of seeks", arguments: [0, 1, 623, 624, 625, 1247, 5000])
    func seek(position: UInt64) {
        var reference = ScalarGenerator(seed: 7)
        for _ in 0..<position { _ = reference.next() }
        let expected = reference.next()

        let forwards = WordStream(seed: 7)
        forwards.seek(to: position)
        #expect(forwards.next() == expected)

        let backwards = WordStream(seed: 7)
        backwards.seek(to: position + 2000)
        _ = backwards.next()
        backwards.seek(to: position)
        #expect(backwards.next() == expected)
    }

    @Test("Permutations equal torch.randperm's")
    func permutation() {
        #expect(WordStream(seed: 42).randomPermutation(of: 10, prefix: 10) == [2, 6, 1, 8, 4, 5, 0, 9, 3, 7])
        #expect(WordStream(seed: 42).randomPermutation(of: 10, prefix: 3) == [2, 6, 1])
        #expect(WordStream(seed: 42).randomPermutation(of: 0, prefix: 0).isEmpty)
    }
}
