import SHA2
import Testing

@Suite("SHA-256 of FIPS 180-4")
struct SHA256Tests {
    /// Digests of FIPS 180-4's examples, of NIST's CAVP vectors SHA256ShortMsg (0 and 8 bits), and of a million letters
    /// a.
    @Test(
        "Digests are the standard's",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ]
    )
    func knownAnswers(message: String, digest: String) {
        #expect(SHA256.hash(data: Array(message.utf8)).description == digest)
    }

    @Test(
        "A million bytes have the standard's digest, in any pieces",
        arguments: [1, 63, 64, 65, 9973]
    )
    func pieces(size: Int) {
        let message = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        var hash = SHA256()
        for start in stride(from: 0, to: message.count, by: size) { hash.update(data: message[start...].prefix(size)) }
        #expect(hash.finalize().description == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test("Hashing continues after a digest, and a copy is independent")
    func copies() {
        var hash = SHA256()
        hash.update(data: "ab".utf8)
        var copy = hash
        #expect(hash.finalize() == SHA256.hash(data: Array("ab".utf8)))
        hash.update(data: "c".utf8)
        copy.update(data: "d".utf8)
        #expect(hash.finalize() == SHA256.hash(data: Array("abc".utf8)))
        #expect(copy.finalize() == SHA256.hash(data: Array("abd".utf8)))
    }

    @Test("Noncontiguous and empty collections are hashed")
    func nonContiguous() {
        #expect(SHA256.hash(data: Array("cba".utf8).reversed()) == SHA256.hash(data: Array("abc".utf8)))
        var hash = SHA256()
        hash.update(bufferPointer: UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(hash.finalize().description.hasPrefix("e3b0c442"))
    }

    @Test("Equal digests compare equal, others do not")
    func comparison() {
        let digests = (0..<1000).map { SHA256.hash(data: [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)]) }
        #expect(Set(digests).count == 1000)
        #expect(digests[7] == SHA256.hash(data: [7, 0]))
        #expect(digests[7] != digests[8])
    }
}
